"""Events of a running sweep, and displays of them: they show progress and make no decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kdtasks.contract.params import Value
from sweeps.common.records import FailureKind, FrontRow, JobKind

Phase = Literal["data", "start", "teachers", "search", "confirm", "record", "report"]
"""The parts of a sweep, in their order."""


@dataclass(frozen=True, slots=True)
class SweepEvent:
    """Something that happens in a sweep."""


@dataclass(frozen=True, slots=True)
class PhaseBegun(SweepEvent):
    """A part of the sweep begins and the one before ends."""

    name: Phase


@dataclass(frozen=True, slots=True)
class Note(SweepEvent):
    """A message that the user should read once, such as a warning."""

    text: str


@dataclass(frozen=True, slots=True)
class DataLoaded(SweepEvent):
    """``done`` of ``total`` parts of a scenario are loaded."""

    done: int
    total: int
    unit: str


@dataclass(frozen=True, slots=True)
class JobsPlanned(SweepEvent):
    """``count`` jobs of this kind follow; cached results are not counted."""

    kind: JobKind
    count: int


@dataclass(frozen=True, slots=True)
class JobReported(SweepEvent):
    """Job ``key`` has trained ``epoch`` of ``epochs`` epochs."""

    kind: JobKind
    key: str
    epoch: int
    epochs: int


@dataclass(frozen=True, slots=True)
class JobFinished(SweepEvent):
    """Job ``key`` has ended; ``reason`` is empty unless it failed."""

    kind: JobKind
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class SearchStarted(SweepEvent):
    """The search begins: at most ``trials`` trials, no new one after ``time_s`` seconds."""

    trials: int
    time_s: float | None
    slots: int


@dataclass(frozen=True, slots=True)
class TrialStarted(SweepEvent):
    """A trial, by its number in the ledger, starts with the searched parameters ``params``."""

    trial: int
    params: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class TrialReported(SweepEvent):
    """A trial has trained ``epoch`` of ``epochs`` epochs."""

    trial: int
    epoch: int
    epochs: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrialFinished(SweepEvent):
    """A trial is complete."""

    trial: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrialStopped(SweepEvent):
    """A trial was stopped early; epochs are 0 if it never began."""

    trial: int
    epoch: int
    epochs: int


@dataclass(frozen=True, slots=True)
class TrialFailed(SweepEvent):
    """A trial failed or was interrupted; the sweep continues."""

    trial: int
    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True)
class FrontChanged(SweepEvent):
    """The front after the latest finished trial, and its hypervolume."""

    rows: Sequence[FrontRow]
    hypervolume: float


@dataclass(frozen=True, slots=True)
class LineLogged(SweepEvent):
    """A line of the sweep's log, see `sweeps.progress.log.SCHEMA`."""

    line: Mapping[str, Any]


class Display:
    """Observer of a sweep, which may not block or raise; this one shows nothing."""

    def handle(self, event: SweepEvent) -> None:
        """Take an event; only a `Note` comes from any thread."""

    def note(self, text: str) -> None:
        """Take a message that the user should read once; from any thread."""
        self.handle(Note(text))

    def data_progress(self, done: int, total: int, unit: str) -> None:
        """Take the progress of loading, as tasks report it."""
        self.handle(DataLoaded(done, total, unit))


class FanOut(Display):
    """Forwards every event to several displays in order.

    A display that fails, for example on a closed terminal, is dropped: it must not end the sweep.
    """

    def __init__(self, *displays: Display) -> None:
        self._displays = list(displays)

    def handle(self, event: SweepEvent) -> None:
        for display in list(self._displays):
            try:
                display.handle(event)
            except Exception:  # noqa: BLE001 - no error of a display may end a sweep
                self._displays.remove(display)
