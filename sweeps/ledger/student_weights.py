"""The students of a sweep's trials, as files in its folder; only the driver writes them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kdtasks.contract.errors import DataError, UserError
from kdtasks.contract.task import Arrays
from sweeps.ledger.paths import atomic_file


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
        try:
            content = path.read_bytes()
            if sha256 and hashlib.sha256(content).hexdigest() != sha256:
                raise _changed(path)
            weights: Arrays = load(content)
        except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
            raise DataError(
                f"{path} with the weights of trial {number} cannot be read: {error}"
            ) from error
        return weights

    def damage(self, number: int, sha256: str) -> str:
        """Return what is wrong with the file of a trial's weights; empty if it is as written."""
        path = self.file(number)
        try:
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}; put it back from a copy"
        return "" if same else str(_changed(path))


def _changed(path: Path) -> DataError:
    return DataError(
        f"{path} is not what was written: its SHA-256 differs from the ledger's; put it back from "
        "a copy, or run the study under another --name"
    )
