"""What a running sweep tells whoever watches it; a display draws and never decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kdtasks.config import Value
from sweeps.records import FailureKind, JobKind

Phase = Literal["data", "start", "teachers", "search", "confirm", "record", "report"]
"""The parts of a sweep, in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontRow:
    """One finished trial on the current front.

    Attributes:
        number: Its number in the ledger.
        params: The parameters that were searched.
        objectives: Its objectives by metric name, in their own units.
    """

    number: int
    params: Mapping[str, Value]
    objectives: Mapping[str, float]


class Display(Protocol):
    """Watches a sweep. No call may block or raise; all but `note` come from one thread."""

    def phase(self, name: Phase) -> None:
        """A part of the sweep begins; it ends when the next begins."""

    def note(self, text: str) -> None:
        """Something the user should read once: a warning, where things are. From any thread."""

    def data_progress(self, done: int, total: int, unit: str) -> None:
        """The scenario being loaded has ``done`` of ``total`` parts."""

    def jobs_planned(self, kind: JobKind, count: int) -> None:
        """So many jobs of this kind follow; those found in the cache are not counted."""

    def job_reported(self, kind: JobKind, key: str, epoch: int, epochs: int) -> None:
        """Job ``key`` has trained ``epoch`` of ``epochs`` epochs."""

    def job_finished(self, kind: JobKind, key: str, reason: str) -> None:
        """Job ``key`` has ended; ``reason`` says why it failed and is empty if it did not."""

    def search_started(self, trials: int, time_s: float | None, slots: int) -> None:
        """The search begins: at most ``trials`` trials, no new one after ``time_s`` seconds."""

    def trial_started(self, number: int, params: Mapping[str, Value]) -> None:
        """Trial ``number`` has a slot; ``params`` are those that were searched."""

    def trial_reported(
        self, number: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> None:
        """Trial ``number`` has trained ``epoch`` of ``epochs`` epochs."""

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None:
        """Trial ``number`` is complete with these numbers."""

    def trial_stopped(self, number: int, epoch: int, epochs: int) -> None:
        """Trial ``number`` was stopped early; both are 0 if it never began."""

    def trial_failed(self, number: int, kind: FailureKind, reason: str) -> None:
        """Trial ``number`` failed, or was interrupted; the sweep goes on."""

    def front(self, rows: Sequence[FrontRow], hypervolume: float) -> None:
        """The front after the latest finished trial, and its hypervolume."""


class SilentDisplay:
    """A display that shows nothing: for tests and for use as a library."""

    def phase(self, name: Phase) -> None: ...

    def note(self, text: str) -> None: ...

    def data_progress(self, done: int, total: int, unit: str) -> None: ...

    def jobs_planned(self, kind: JobKind, count: int) -> None: ...

    def job_reported(self, kind: JobKind, key: str, epoch: int, epochs: int) -> None: ...

    def job_finished(self, kind: JobKind, key: str, reason: str) -> None: ...

    def search_started(self, trials: int, time_s: float | None, slots: int) -> None: ...

    def trial_started(self, number: int, params: Mapping[str, Value]) -> None: ...

    def trial_reported(
        self, number: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> None: ...

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None: ...

    def trial_stopped(self, number: int, epoch: int, epochs: int) -> None: ...

    def trial_failed(self, number: int, kind: FailureKind, reason: str) -> None: ...

    def front(self, rows: Sequence[FrontRow], hypervolume: float) -> None: ...
