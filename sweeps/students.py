"""The students of a sweep's trials, as files in its folder; only the driver writes them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from kdtasks.errors import DataError, UserError
from kdtasks.task import Arrays
from sweeps.folder import atomic_file


@dataclass(frozen=True, slots=True)
class StudentStore:
    """Weights of trained students, by the number of their trial.

    Attributes:
        path: Folder with one safetensors file per student.
    """

    path: Path

    def file(self, number: int) -> Path:
        """Return where the weights of a trial are."""
        return self.path / f"trial-{number}.safetensors"

    def put(self, number: int, weights: Arrays) -> None:
        """Keep the weights of a trial; the file is there whole or not at all.

        Raises:
            UserError: If it cannot be written.
        """
        path = self.file(number)
        # safetensors writes the memory as it lies, so a transposed view would be scrambled
        ordered = {name: np.asarray(array, order="C") for name, array in weights.items()}
        try:
            with atomic_file(path) as partial:
                # save_file would let nobody else read the file, whatever the umask
                partial.write_bytes(save(ordered))
        except (OSError, SafetensorError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UserError(
                f"{path} cannot be written to: {why}; every finished trial is kept, and kdsweep "
                "resume goes on once it can be"
            ) from error

    def get(self, number: int) -> Arrays:
        """Return the weights of a trial.

        Raises:
            DataError: If they are not there, or damaged.
        """
        path = self.file(number)
        try:
            weights: Arrays = load_file(path)
        except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
            raise DataError(
                f"{path} with the weights of trial {number} cannot be read: {error}"
            ) from error
        return weights
