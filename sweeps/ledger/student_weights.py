"""Weights of a sweep's students, as files that only the driver writes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Arrays
from kdtasks.data.reading import damage_named, file_sha256
from sweeps.ledger.paths import atomic_file, writing

FIX = "restore it from a copy, or run the study under another --name"
"""How to fix weights that cannot be used."""


def encoded(arrays: Arrays) -> bytes:
    """Return arrays as the bytes of a safetensors file; ``save_file`` would ignore the umask."""
    # safetensors writes memory as it is, which would scramble a transposed view
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content: bytes = save(ordered)
    return content


@dataclass(frozen=True, slots=True)
class StudentStore:
    """A folder with a safetensors file of weights per student, by the number of its trial."""

    path: Path

    def file(self, number: int) -> Path:
        """Return the path of a trial's weights."""
        return self.path / f"trial-{number}.safetensors"

    def put(self, number: int, weights: Arrays) -> str:
        """Write the weights of a trial atomically; return the file's SHA-256.

        Raises:
            UserError: If it cannot be written.
        """
        path = self.file(number)
        with writing(path), atomic_file(path) as partial:
            content = encoded(weights)
            partial.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def get(self, number: int, sha256: str = "") -> Arrays:
        """Return the weights of a trial; an empty hash was not recorded and is not compared.

        Raises:
            DataError: If they are missing or damaged.
        """
        path = self.file(number)
        if sha256 and (damage := self.damage(number, sha256)):
            raise DataError(damage)
        with damage_named(path, FIX):
            weights: Arrays = load_file(path)  # memory-mapped: a damaged file takes no memory
        return weights

    def damage(self, number: int, sha256: str) -> str:
        """Return what is wrong with the file of a trial's weights; empty if nothing is."""
        path = self.file(number)
        try:
            same = file_sha256(path) == sha256
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}; {FIX}"
        except DataError as error:
            return str(error)
        changed = f"{path} is not what was written: its SHA-256 differs from the ledger's; {FIX}"
        return "" if same else changed
