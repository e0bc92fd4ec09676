"""Ledgers as bytes: which of two goes on with the other, and which weights one vouches for."""

import tempfile
from pathlib import Path

from analysis import layout
from kdtasks.contract.errors import DataError
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.student_weights import StudentStore


def whole_lines(content: bytes) -> bytes:
    """Return what was written to the end of a line."""
    return content[: content.rfind(b"\n") + 1]


def continues(local: bytes, stored: bytes) -> bool:
    """Return whether a journal has everything that another has.

    Args:
        local: A journal; a last line that was not written to its end does not count.
        stored: Another, likewise.
    """
    return whole_lines(local).startswith(whole_lines(stored))


def longer(local: bytes, stored: bytes) -> bytes | None:
    """Return the one of two journals that continues the other; None if neither does.

    Args:
        local: A journal; a last line that was not written to its end does not count.
        stored: Another, likewise.
    """
    if continues(local, stored):
        return whole_lines(local)
    return whole_lines(stored) if continues(stored, local) else None


def complete_weights(journal: bytes) -> set[str]:
    """Return the files of weights, as paths in the sweep, that never change again.

    They are those of the trials that a journal calls complete: any other trial may be run once
    more, by whoever goes on with the sweep.

    Args:
        journal: A journal; one that cannot be read vouches for nothing.
    """
    weights = StudentStore(Path(layout.WEIGHTS_DIR))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / layout.JOURNAL_FILE
        path.write_bytes(whole_lines(journal))
        try:
            trials = Ledger.open(path).trials()
        except DataError:
            return set()
    done = [trial.number for trial in trials if trial.state is TrialState.COMPLETE]
    return {weights.file(number).as_posix() for number in done}
