"""Comparison of journals as bytes: which continues the other, and which weights one lists."""

import tempfile
from pathlib import Path

from analysis import layout
from kdtasks.contract.errors import DataError
from kdtasks.data.reading import file_sha256
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.student_weights import StudentStore


def whole_lines(content: bytes) -> bytes:
    """Return the complete lines."""
    return content[: content.rfind(b"\n") + 1]


def continues(local: bytes, stored: bytes) -> bool:
    """Return whether a journal contains all complete lines of another."""
    return whole_lines(local).startswith(whole_lines(stored))


def longer(local: bytes, stored: bytes) -> bytes | None:
    """Return the complete lines of the journal that continues the other; None if neither does."""
    if continues(local, stored):
        return whole_lines(local)
    return whole_lines(stored) if continues(stored, local) else None


def complete_weights(journal: bytes) -> dict[str, str]:
    """Return the weight files that will not change again, with their SHA-256, empty if unknown.

    They belong to complete trials; any other trial may run again when the sweep is resumed. A
    journal that cannot be read lists none.
    """
    weights = StudentStore(Path(layout.WEIGHTS_DIR))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / layout.JOURNAL_FILE
        path.write_bytes(whole_lines(journal))
        try:
            trials = Ledger.open(path).trials()
        except DataError:
            return {}
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return {weights.file(trial.number).as_posix(): trial.sha256 for trial in done}


def is_file(file: Path, size: int, sha256: str) -> bool:
    """Return whether a file has this size and hash; an empty hash is not compared."""
    try:
        same_size = file.stat().st_size == size
        return same_size and (not sha256 or file_sha256(file) == sha256)
    except OSError:
        return False
