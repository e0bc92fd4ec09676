"""The file of a sweep's ledger: appended whole or not at all, mended at its end, damage named."""

import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from kdtasks.contract.errors import DataError, UserError
from kdtasks.data.reading import (
    MOST_LOG_BYTES,
    check_file,
    damage_named,
    parsed_json,
    read_bytes,
)

MOST_LINE_BYTES = 16 * 2**20
"""Longest line of a journal: the largest has a study's text [bytes]."""

FIX = "put back a copy of the file, or remove the sweep's folder and run the study again"


class _OneWriter(JournalFileOpenLock):
    """No lock: the lease of the sweep's folder admits one writer.

    Optuna's own stays behind when its holder is killed, and is then waited for for half a minute.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Do nothing."""


class Journal(JournalFileBackend):
    """Optuna's journal, of which no half line stays when a write fails."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _OneWriter(str(path)))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        size = self._path.stat().st_size
        try:
            super().append_logs(logs)
        except BaseException as error:
            # The next line would be glued to what a full disk has left of this one. Whoever is told
            # of the error does not count on the entry either.
            os.truncate(self._path, size)
            if isinstance(error, OSError):
                raise UserError(
                    f"{self._path} cannot be written to: {error.strerror}; everything before that "
                    "is kept, and kdsweep resume goes on once it can be"
                ) from error
            raise


def check_lines(path: Path) -> None:
    """Check, before Optuna reads a journal, that neither it nor one of its lines fills the memory.

    Raises:
        DataError: If one does, or the path is no file.
    """
    check_file(path, MOST_LOG_BYTES)
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            if len(line) == MOST_LINE_BYTES:
                raise DataError(f"{path} is damaged: a line has {MOST_LINE_BYTES} bytes; {FIX}")


def mend_tail(path: Path) -> str:
    """Drop a last line that was never written to its end.

    Returns:
        What was done, for the user; empty if nothing was.

    Raises:
        UserError: If the file cannot be written to.
    """
    content = read_bytes(path, MOST_LOG_BYTES)
    whole = content.rfind(b"\n") + 1
    if whole == len(content):
        return ""
    try:
        os.truncate(path, whole)
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from error
    written = len(content) - whole
    return f"{path.name}: its last line was dropped, of which only {written} B had been written"


def damage(path: Path, error: Exception) -> DataError:
    """Return what to tell about a journal that Optuna, or we, cannot make sense of."""
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
