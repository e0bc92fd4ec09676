"""Reduces the lines of a sweep's log to its state, also while the sweep runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sweeps.common.clock import SimulatedClock
from sweeps.common.records import FailureKind
from sweeps.progress.events import FrontChanged, SweepEvent, TrialFailed
from sweeps.progress.log import LINES
from sweeps.progress.state import Progress
from sweeps.progress.utilisation import Utilisation


@dataclass
class LogReducer:
    """The state of a sweep after the lines of its log, added one by one.

    Attributes:
        clock: The time of the last line.
        opened: The last ``opened`` line; empty if there is none.
        closed: The ``closed`` line after it; empty if there is none.
        drivers: Number of drivers so far.
        counts: Trials by how they ended, by metric of the sweep's run.
        failures: Kind, reason and number of every trial that failed.
        front: The last line about the front.
        progress: Progress of the last driver.
    """

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    opened: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, Any] = field(default_factory=dict)
    drivers: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    failures: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    front: dict[str, Any] = field(default_factory=dict)
    worked_s: float = 0.0
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.progress = Progress(clock=self.clock)
        self.utilisation = Utilisation(1, self.clock)

    def add(self, event: dict[str, Any]) -> None:
        """Add one line; ignore it if this version cannot interpret it."""
        try:
            self._add(event)
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
            return

    def _add(self, event: dict[str, Any]) -> None:
        if self.opened and not self.closed and event["event"] != "opened":
            self.worked_s += max(0.0, event["time"] - self.clock.now_s)
        self.clock.now_s = event["time"]
        if (known := event_of(event)) is not None:
            self.progress.handle(known)
        if apply := APPLY.get(event["event"]):
            apply(self, event)

    def open(self, event: dict[str, Any]) -> None:
        self.counts = {name: int(count) for name, count in dict(event["before"]).items()}
        self.opened, self.closed = event, {}
        self.drivers += 1
        self._begin()

    def search(self, event: dict[str, Any]) -> None:
        self.utilisation = Utilisation(event["slots"], self.clock)
        self.utilisation.begin()

    def finish(self, event: dict[str, Any]) -> None:
        self._end("trials_complete", event["trial"], event["wall_s"])

    def fail(self, event: dict[str, Any]) -> None:
        number, kind = event["trial"], FailureKind(event["kind"])
        if kind is FailureKind.INTERRUPTED:
            self._end("trials_interrupted", number, None)
            return
        self.failures[number] = (kind, event["reason"], number)
        self._end("trials_failed", number, None)

    def _end(self, name: str, number: int, wall_s: float | None) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        self.utilisation.ended(number, math.nan if wall_s is None else wall_s)


def event_of(line: Mapping[str, Any]) -> SweepEvent | None:
    """Return the event that a line tells of, with the fields that the line has; None for none."""
    kind = EVENTS.get(line["event"])
    if kind is None or kind is FrontChanged:
        return None
    facts = {**line, "metrics": line.get("objectives", {})}
    if kind is TrialFailed:
        facts["kind"] = FailureKind(line["kind"])
    return kind(**{field.name: facts[field.name] for field in fields(kind)})


EVENTS: Mapping[str, type[SweepEvent]] = {name: kind for kind, name in LINES.items()}

APPLY: Mapping[str, Callable[[LogReducer, dict[str, Any]], None]] = {
    "opened": LogReducer.open,
    "search_started": LogReducer.search,
    "trial_started": lambda reducer, line: reducer.utilisation.started(line["trial"]),
    "trial_finished": LogReducer.finish,
    "trial_stopped": lambda reducer, line: reducer._end("trials_pruned", line["trial"], None),
    "trial_failed": LogReducer.fail,
    "front": lambda reducer, line: setattr(reducer, "front", line),
    "closed": lambda reducer, line: setattr(reducer, "closed", line),
}
"""What a line changes beside the progress, by its event."""
