"""Reduces the lines of a sweep's log to its state, also while the sweep runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeps.common.clock import SimulatedClock
from sweeps.common.records import FailureKind
from sweeps.progress.state import Account, Progress
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
    """

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    opened: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, Any] = field(default_factory=dict)
    drivers: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    failures: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    front: dict[str, Any] = field(default_factory=dict)
    worked_s: float = 0.0

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.account = Account(self.clock)
        self.utilisation = Utilisation(1, self.clock)

    @property
    def progress(self) -> Progress:
        """Progress of the last driver."""
        return self.account.progress

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
        if apply := APPLY.get(event["event"]):
            apply(self, event)

    def open(self, event: dict[str, Any]) -> None:
        self.counts = {name: int(count) for name, count in dict(event["before"]).items()}
        self.opened, self.closed = event, {}
        self.drivers += 1
        self._begin()

    def search(self, event: dict[str, Any]) -> None:
        self.account.search_started(event["trials"], event["time_s"], event["slots"])
        self.utilisation = Utilisation(event["slots"], self.clock)
        self.utilisation.begin()

    def start(self, event: dict[str, Any]) -> None:
        self.account.trial_started(event["trial"], event["params"])
        self.utilisation.started(event["trial"])

    def finish(self, event: dict[str, Any]) -> None:
        self.account.trial_finished(event["trial"], event["objectives"])
        self._end("trials_complete", event["trial"], event["wall_s"])

    def stop(self, event: dict[str, Any]) -> None:
        self.account.trial_stopped(event["trial"], event["epoch"], event["epochs"])
        self._end("trials_pruned", event["trial"], None)

    def fail(self, event: dict[str, Any]) -> None:
        number, kind = event["trial"], FailureKind(event["kind"])
        self.account.trial_failed(number, kind, event["reason"])
        if kind is FailureKind.INTERRUPTED:
            self._end("trials_interrupted", number, None)
            return
        self.failures[number] = (kind, event["reason"], number)
        self._end("trials_failed", number, None)

    def _end(self, name: str, number: int, wall_s: float | None) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        self.utilisation.ended(number, math.nan if wall_s is None else wall_s)


APPLY: Mapping[str, Callable[[LogReducer, dict[str, Any]], None]] = {
    "opened": LogReducer.open,
    "phase": lambda reducer, event: reducer.account.phase(event["name"]),
    "data_progress": lambda reducer, event: reducer.account.data_progress(
        event["done"], event["total"], event["unit"]
    ),
    "jobs_planned": lambda reducer, event: reducer.account.jobs_planned(
        event["kind"], event["count"]
    ),
    "job_reported": lambda reducer, event: reducer.account.job_reported(
        event["kind"], event["key"], event["epoch"], event["epochs"]
    ),
    "job_finished": lambda reducer, event: reducer.account.job_finished(
        event["kind"], event["key"], event["reason"]
    ),
    "search_started": LogReducer.search,
    "trial_started": LogReducer.start,
    "trial_reported": lambda reducer, event: reducer.account.trial_reported(
        event["trial"], event["epoch"], event["epochs"], {}
    ),
    "trial_finished": LogReducer.finish,
    "trial_stopped": LogReducer.stop,
    "trial_failed": LogReducer.fail,
    "front": lambda reducer, event: setattr(reducer, "front", event),
    "closed": lambda reducer, event: setattr(reducer, "closed", event),
}
"""Updates of the state, by event."""
