"""Displays of a running sweep: they show its progress and make no decisions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from kdtasks.contract.params import Value
from sweeps.common.records import FailureKind, FrontRow, JobKind

Phase = Literal["data", "start", "teachers", "search", "confirm", "record", "report"]
"""The parts of a sweep, in their order."""


class Display:
    """Observer of a sweep, which may not block or raise; only `note` is called from any thread."""

    def phase(self, name: Phase) -> None:
        """A part of the sweep begins and the one before ends."""

    def note(self, text: str) -> None:
        """A message that the user should read once, such as a warning; from any thread."""

    def data_progress(self, done: int, total: int, unit: str) -> None:
        """``done`` of ``total`` parts of a scenario are loaded."""

    def jobs_planned(self, kind: JobKind, count: int) -> None:
        """``count`` jobs of this kind follow; cached results are not counted."""

    def job_reported(self, kind: JobKind, key: str, epoch: int, epochs: int) -> None:
        """Job ``key`` has trained ``epoch`` of ``epochs`` epochs."""

    def job_finished(self, kind: JobKind, key: str, reason: str) -> None:
        """Job ``key`` has ended; ``reason`` is empty unless it failed."""

    def search_started(self, trials: int, time_s: float | None, slots: int) -> None:
        """The search begins: at most ``trials`` trials, no new one after ``time_s`` seconds."""

    def trial_started(self, number: int, params: Mapping[str, Value]) -> None:
        """Trial ``number`` starts with the searched parameters ``params``."""

    def trial_reported(
        self, number: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> None:
        """Trial ``number`` has trained ``epoch`` of ``epochs`` epochs."""

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None:
        """Trial ``number`` is complete."""

    def trial_stopped(self, number: int, epoch: int, epochs: int) -> None:
        """Trial ``number`` was stopped early; both are 0 if it never began."""

    def trial_failed(self, number: int, kind: FailureKind, reason: str) -> None:
        """Trial ``number`` failed or was interrupted; the sweep continues."""

    def front(self, rows: Sequence[FrontRow], hypervolume: float) -> None:
        """The front after the latest finished trial, and its hypervolume."""

    def logged(self, event: Mapping[str, Any]) -> None:
        """A line of the sweep's log, see `sweeps.progress.log.SCHEMA`."""


class SilentDisplay(Display):
    """A display that shows nothing: for tests and for use as a library."""


class FanOut(Display):
    """Forwards every call to several displays in order.

    A display that fails, for example on a closed terminal, is dropped: it must not end the sweep.
    """

    def __init__(self, *displays: Display) -> None:
        self._displays = list(displays)

    def _forward(self, call: Callable[[Display], None]) -> None:
        for display in list(self._displays):
            try:
                call(display)
            except Exception:  # noqa: BLE001 - no error of a display may end a sweep
                self._displays.remove(display)

    def phase(self, name: Phase) -> None:
        self._forward(lambda display: display.phase(name))

    def note(self, text: str) -> None:
        self._forward(lambda display: display.note(text))

    def data_progress(self, done: int, total: int, unit: str) -> None:
        self._forward(lambda display: display.data_progress(done, total, unit))

    def jobs_planned(self, kind: JobKind, count: int) -> None:
        self._forward(lambda display: display.jobs_planned(kind, count))

    def job_reported(self, kind: JobKind, key: str, epoch: int, epochs: int) -> None:
        self._forward(lambda display: display.job_reported(kind, key, epoch, epochs))

    def job_finished(self, kind: JobKind, key: str, reason: str) -> None:
        self._forward(lambda display: display.job_finished(kind, key, reason))

    def search_started(self, trials: int, time_s: float | None, slots: int) -> None:
        self._forward(lambda display: display.search_started(trials, time_s, slots))

    def trial_started(self, number: int, params: Mapping[str, Value]) -> None:
        self._forward(lambda display: display.trial_started(number, params))

    def trial_reported(
        self, number: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> None:
        self._forward(lambda display: display.trial_reported(number, epoch, epochs, metrics))

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None:
        self._forward(lambda display: display.trial_finished(number, metrics))

    def trial_stopped(self, number: int, epoch: int, epochs: int) -> None:
        self._forward(lambda display: display.trial_stopped(number, epoch, epochs))

    def trial_failed(self, number: int, kind: FailureKind, reason: str) -> None:
        self._forward(lambda display: display.trial_failed(number, kind, reason))

    def front(self, rows: Sequence[FrontRow], hypervolume: float) -> None:
        self._forward(lambda display: display.front(rows, hypervolume))

    def logged(self, event: Mapping[str, Any]) -> None:
        self._forward(lambda display: display.logged(event))
