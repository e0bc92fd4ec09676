"""What a running sweep tells whoever watches it; a display draws and never decides.

Several displays of one sweep: the screen, and the log that stands beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from kdtasks.contract.params import Value
from sweeps.common.records import FailureKind, FrontRow, JobKind

Phase = Literal["data", "start", "teachers", "search", "confirm", "record", "report"]
"""The parts of a sweep, in their order."""


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


class FanOut:
    """Tells every display the same, in their order.

    One that fails, as when its terminal was closed, is told nothing further: it must not end the
    sweep.
    """

    def __init__(self, *displays: Display) -> None:
        self._displays = list(displays)

    def _tell(self, call: Callable[[Display], None]) -> None:
        for display in list(self._displays):
            try:
                call(display)
            except Exception:  # noqa: BLE001 - whatever it is, it is not worth a sweep
                self._displays.remove(display)

    def phase(self, name: Phase) -> None:
        self._tell(lambda display: display.phase(name))

    def note(self, text: str) -> None:
        self._tell(lambda display: display.note(text))

    def data_progress(self, done: int, total: int, unit: str) -> None:
        self._tell(lambda display: display.data_progress(done, total, unit))

    def jobs_planned(self, kind: JobKind, count: int) -> None:
        self._tell(lambda display: display.jobs_planned(kind, count))

    def job_reported(self, kind: JobKind, key: str, epoch: int, epochs: int) -> None:
        self._tell(lambda display: display.job_reported(kind, key, epoch, epochs))

    def job_finished(self, kind: JobKind, key: str, reason: str) -> None:
        self._tell(lambda display: display.job_finished(kind, key, reason))

    def search_started(self, trials: int, time_s: float | None, slots: int) -> None:
        self._tell(lambda display: display.search_started(trials, time_s, slots))

    def trial_started(self, number: int, params: Mapping[str, Value]) -> None:
        self._tell(lambda display: display.trial_started(number, params))

    def trial_reported(
        self, number: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> None:
        self._tell(lambda display: display.trial_reported(number, epoch, epochs, metrics))

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None:
        self._tell(lambda display: display.trial_finished(number, metrics))

    def trial_stopped(self, number: int, epoch: int, epochs: int) -> None:
        self._tell(lambda display: display.trial_stopped(number, epoch, epochs))

    def trial_failed(self, number: int, kind: FailureKind, reason: str) -> None:
        self._tell(lambda display: display.trial_failed(number, kind, reason))

    def front(self, rows: Sequence[FrontRow], hypervolume: float) -> None:
        self._tell(lambda display: display.front(rows, hypervolume))
