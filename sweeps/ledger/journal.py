"""The journal file of a sweep: atomic appends, repair of a torn last line, reports of damage."""

import json
import os
import sys
import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import MOST_LOG_BYTES, check_file, damage_named, parsed_json, read_bytes
from sweeps.ledger.paths import writing

MOST_LINE_BYTES = 16 * 2**20
"""Longest line of a journal [bytes]; the longest holds a study's text."""

FIX = "restore the file from a copy, or remove the sweep's folder and run the study again"


class Journal(BaseJournalBackend):
    """Optuna's journal in a file with one writer, which the sweep's folder admits; made if missing.

    A failed write leaves no partial line. Optuna's own backend keeps the place of every line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0, 0  # lines, and their bytes
        self._together = False
        if not path.exists():  # one that may only be read is not written to
            path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        number, place = self._read if self._read[0] <= log_number_from else (0, 0)
        with self._path.open("rb") as file:
            file.seek(place)
            for line in file:
                if not line.endswith(b"\n"):  # another process is appending to it
                    return
                number, place = number + 1, place + len(line)
                self._read = number, place
                if number > log_number_from:
                    yield json.loads(line, object_pairs_hook=_with_shared_names)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        size = self._path.stat().st_size
        try:
            with writing(self._path), self._path.open("ab") as file:
                file.write(lines.encode())
                file.flush()
                if not self._together:
                    os.fsync(file.fileno())
        except BaseException:
            # A full disk may leave a partial line, to which the next one would be appended. Callers
            # see the error and do not rely on the entry.
            os.truncate(self._path, size)
            raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what is appended inside to the disk once, at the end."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
            with writing(self._path), self._path.open("rb") as file:
                os.fsync(file.fileno())


def _with_shared_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object whose names are those of all others: they were a quarter of the memory."""
    return {sys.intern(name): value for name, value in pairs}


class Packed(Mapping[str, Any]):
    """Attributes of an ended trial as compressed text, in a fifth of the memory.

    Each look at them reads the text: whoever needs several takes a `copy` first.
    """

    __slots__ = ("_text",)

    def __init__(self, attrs: Mapping[str, Any]) -> None:
        self._text = zlib.compress(json.dumps(attrs).encode())

    def copy(self) -> dict[str, Any]:
        """Return them as Optuna has them while a trial runs."""
        text = zlib.decompress(self._text)
        attrs: dict[str, Any] = json.loads(text, object_pairs_hook=_with_shared_names)
        return attrs

    def __getitem__(self, name: str) -> Any:
        return self.copy()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy())


class Storage(JournalStorage):
    """Optuna's storage of a journal, which keeps little of ended trials in memory.

    It looks for waiting trials only while there may be some: Optuna looks at all trials for one
    that waits whenever it begins one.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._may_wait = True
        self._distributions: dict[Any, dict[str, BaseDistribution]] = {}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        if state.is_finished():
            trial = self.get_trial(trial_id)
            trial.user_attrs = Packed(trial.user_attrs)  # type: ignore[assignment]
            key = tuple(trial.distributions.items())
            trial.distributions = self._distributions.setdefault(key, trial.distributions)
        return changed

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        if states != (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        found = super().get_all_trials(study_id, deepcopy, states) if self._may_wait else []
        self._may_wait = bool(found)
        return found

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._may_wait |= template_trial is not None and template_trial.state is TrialState.WAITING
        return super().create_new_trial(study_id, template_trial)


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
