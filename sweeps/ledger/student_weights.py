"""The students of a sweep's trials, as files in its folder; only the driver writes them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from kdtasks.contract.errors import DataError, UserError
from kdtasks.contract.task import Arrays
from kdtasks.data.reading import damage_named, file_sha256
from sweeps.ledger.paths import atomic_file

FIX = "put it back from a copy, or run the study under another --name"
"""What to do about weights that cannot be used."""


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

    def put(self, number: int, weights: Arrays) -> str:
        """Keep the weights of a trial; the file is there whole or not at all.

        Returns:
            SHA-256 of the file, for the ledger.

        Raises:
            UserError: If it cannot be written.
        """
        path = self.file(number)
        # safetensors writes the memory as it lies, so a transposed view would be scrambled
        ordered = {name: np.asarray(array, order="C") for name, array in weights.items()}
        try:
            content: bytes = save(ordered)
            with atomic_file(path) as partial:
                # save_file would let nobody else read the file, whatever the umask
                partial.write_bytes(content)
        except (OSError, SafetensorError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UserError(
                f"{path} cannot be written to: {why}; every finished trial is kept, and kdsweep "
                "resume goes on once it can be"
            ) from error
        return hashlib.sha256(content).hexdigest()

    def get(self, number: int, sha256: str = "") -> Arrays:
        """Return the weights of a trial.

        Args:
            number: The trial.
            sha256: Of the file when it was written; empty if none was recorded, then it is not
                compared.

        Raises:
            DataError: If they are not there, or damaged.
        """
        path = self.file(number)
        if sha256 and (damage := self.damage(number, sha256)):
            raise DataError(damage)
        with damage_named(path, FIX):
            weights: Arrays = load_file(path)  # maps it: a damaged one takes no memory
        return weights

    def damage(self, number: int, sha256: str) -> str:
        """Return what is wrong with the file of a trial's weights; empty if it is as written."""
        path = self.file(number)
        try:
            same = file_sha256(path) == sha256
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}; {FIX}"
        except DataError as error:
            return str(error)
        changed = f"{path} is not what was written: its SHA-256 differs from the ledger's; {FIX}"
        return "" if same else changed
