"""The journal file of a sweep: atomic appends, repair of a torn last line, reports of damage."""

import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import MOST_LOG_BYTES, check_file, damage_named, parsed_json, read_bytes
from sweeps.ledger.paths import writing

MOST_LINE_BYTES = 16 * 2**20
"""Longest line of a journal [bytes]; the longest holds a study's text."""

FIX = "restore the file from a copy, or remove the sweep's folder and run the study again"


class _OneWriter(JournalFileOpenLock):
    """No lock: the sweep's folder already has one for its single writer.

    Optuna's lock stays when its holder is killed; the next process would wait 30 s for it.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Do nothing."""


class Journal(JournalFileBackend):
    """Optuna's journal, but a failed write leaves no partial line; the file is made if missing."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _OneWriter(str(path)))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        size = self._path.stat().st_size
        try:
            with writing(self._path):
                super().append_logs(logs)
        except BaseException:
            # A full disk may leave a partial line, to which the next one would be appended. Callers
            # see the error and do not rely on the entry.
            os.truncate(self._path, size)
            raise


def check_lines(path: Path) -> None:
    """Check, before Optuna reads a journal, that the file and its lines are not too large.

    Raises:
        DataError: If one is too large, or the path is not a file.
    """
    check_file(path, MOST_LOG_BYTES)
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            if len(line) == MOST_LINE_BYTES:
                raise DataError(f"{path} is damaged: a line has {MOST_LINE_BYTES} bytes; {FIX}")


def whole_lines(content: bytes) -> bytes:
    """Return the complete lines of a file that another process may be appending to."""
    return content[: content.rfind(b"\n") + 1]


def repair_tail(path: Path) -> str:
    """Remove an incomplete last line of a journal without other writers; return a message or ''.

    Raises:
        UserError: If the file cannot be written to.
    """
    content = read_bytes(path, MOST_LOG_BYTES)
    whole = len(whole_lines(content))
    if whole == len(content):
        return ""
    with writing(path):
        os.truncate(path, whole)
    written = len(content) - whole
    return f"{path.name}: its incomplete last line ({written} B) was removed"


def damage(path: Path, error: Exception) -> DataError:
    """Return the error for a journal that cannot be read, with the damaged line if it is known."""
    try:
        with damage_named(path, FIX):
            _check_entries(path)
            raise error
    except DataError as found:
        return found


def _check_entries(path: Path) -> None:
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            known = isinstance(parsed_json(line), dict)
        except ValueError:
            known = False
        if not known:
            raise DataError(f"{path} is damaged in line {number} of {len(lines)}; {FIX}")
