"""Status of a sweep, from the lines of its log alone, without locking or writing anything."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from analysis import layout
from analysis.failures import FailureGroup, group_failures
from kdtasks.contract.params import Value
from kdtasks.data.reading import damage_named
from sweeps.common.clock import SimulatedClock
from sweeps.common.file_types import check_types
from sweeps.common.records import FailureKind, JobKind
from sweeps.ledger.process_lock import Driver, read_driver
from sweeps.progress import events
from sweeps.progress.events import SweepEvent
from sweeps.progress.log import LINES, LogReader, finite
from sweeps.progress.state import Progress, Utilisation


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
            self._count(known, event)
        match event["event"]:
            case "opened":
                self.counts = {name: int(count) for name, count in dict(event["before"]).items()}
                self.opened, self.closed = event, {}
                self.drivers += 1
                self._begin()
            case "front":
                self.front = event
            case "closed":
                self.closed = event

    def _count(self, known: SweepEvent, event: dict[str, Any]) -> None:
        """Count what a line changes beside the progress."""
        match known:
            case events.SearchStarted(slots=slots):
                self.utilisation = Utilisation(slots, self.clock)
                self.utilisation.begin()
            case events.TrialStarted(number):
                self.utilisation.started(number)
            case events.TrialFinished(number):
                self._end("trials_complete", number, event["wall_s"])
            case events.TrialStopped(number):
                self._end("trials_pruned", number)
            case events.TrialFailed(number, FailureKind.INTERRUPTED):
                self._end("trials_interrupted", number)
            case events.TrialFailed(number, kind, reason):
                self.failures[number] = (kind, reason, number)
                self._end("trials_failed", number)

    def _end(self, name: str, number: int, wall_s: float | None = None) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        self.utilisation.ended(number, math.nan if wall_s is None else wall_s)


def event_of(line: Mapping[str, Any]) -> SweepEvent | None:
    """Return the event that a line tells of, with the fields that the line has; None for none."""
    kind = EVENTS.get(line["event"])
    if kind is None or kind is events.FrontChanged:
        return None
    facts = {**line, "metrics": line.get("objectives", {})}
    if kind is events.TrialFailed:
        facts["kind"] = FailureKind(line["kind"])
    return kind(**{field.name: facts[field.name] for field in fields(kind)})


EVENTS: Mapping[str, type[SweepEvent]] = {name: kind for kind, name in LINES.items()}

State = Literal["running", "finished", "interrupted", "failed", "died", "unknown"]
"""``died``: its driver was killed or its machine switched off; ``unknown``: it has no log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningTrial:
    """A trial or job in training, see `Running`, such as ``trial 7``; its run time so far [s]."""

    name: str
    params: Mapping[str, Value]
    epoch: int
    epochs: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The best value of an objective on the front, and the trial that has it."""

    metric: str
    label: str
    unit: str
    value: float
    trial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepStatus:
    """Status of a sweep, ready for JSON; times in seconds.

    Attributes:
        why: Why it ended; empty while it runs.
        pid: Number of its driver process; None if it has none.
        host: Machine of that or the last driver.
        since_s: Start of its last driver, seconds since 1970.
        drivers: Number of drivers so far.
        phase: Its current or last phase; empty before the first.
        share: Fraction of the phase that is done, in [0, 1].
        data: Loaded parts, all parts and their name, while data are loaded.
        jobs: Ended and planned jobs of the phase, by kind.
        budget: Trials of the whole budget.
        complete, stopped, failed: Trials by how they ended; ``stopped`` early.
        running: Trials and jobs in training.
        slots: Trials at once.
        elapsed_s: Total run time of its drivers.
        left_s: Estimated time left of the phase; None if unknown.
        utilisation: Share of the slots' time used by trials of the last driver once all slots were
            warm; None if there were too few trials.
        utilisation_whole: The same for the last driver's whole search.
        front: Number of trials on the front.
        hypervolume: Of the front; None before the first trial finished.
        best: The best value of every objective on the front.
        report: The report; None if there is none.
        silent_s: Time since the last event; None without log.
    """

    name: str
    study: str
    state: State
    why: str
    pid: int | None
    host: str
    since_s: float | None
    drivers: int
    phase: str
    phase_s: float
    share: float
    data: tuple[int, int, str]
    jobs: Mapping[JobKind, tuple[int, int]]
    budget: int
    complete: int
    stopped: int
    failed: int
    running: tuple[RunningTrial, ...]
    slots: int
    elapsed_s: float
    left_s: float | None
    utilisation: float | None
    utilisation_whole: float | None
    front: int
    hypervolume: float | None
    best: tuple[Best, ...]
    failures: tuple[FailureGroup, ...]
    report: str | None
    silent_s: float | None


class StatusReader:
    """Reads the status of a sweep repeatedly, and only new lines of its log each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = LogReader(folder / layout.LOG_FILE)
        self._reducer = LogReducer()

    def read(self, now_s: float) -> SweepStatus:
        """Return the status at ``now_s``, seconds since 1970.

        Raises:
            DataError: If its log is damaged.
        """
        driver = read_driver(self._folder)
        log = self._folder / layout.LOG_FILE
        with damage_named(log, "move it away; the sweep itself is in its ledger"):
            for event in self._log.new():
                self._reducer.add(event)
            status = _status(self._folder, self._reducer, driver, now_s)
            check_types(SweepStatus, asdict(status))
        return status


def _status(folder: Path, reducer: LogReducer, driver: Driver | None, now_s: float) -> SweepStatus:
    last_s, report = reducer.clock.now_s, folder / layout.REPORT_DIR / layout.REPORT_FILE
    runs = driver is not None and driver.runs()
    state, why = _state(reducer, runs=runs)
    if runs:
        reducer.clock.now_s = max(now_s, last_s)  # running work has run until now
    progress, opened = reducer.progress, reducer.opened
    status = SweepStatus(
        name=folder.name,
        study=opened.get("study", ""),
        state=state,
        why=why,
        pid=driver.process.pid if runs and driver else None,
        host=opened.get("host", ""),
        since_s=opened.get("time"),
        drivers=reducer.drivers,
        phase=progress.phase or "",
        phase_s=progress.phase_s if progress.phase else 0.0,
        share=progress.share,
        data=progress.data,
        jobs=progress.jobs_done,
        budget=opened.get("trials", 0),
        complete=reducer.counts.get("trials_complete", 0),
        stopped=reducer.counts.get("trials_pruned", 0),
        failed=reducer.counts.get("trials_failed", 0),
        running=tuple(_running(reducer)) if runs else (),
        slots=progress.budget[2],
        elapsed_s=reducer.worked_s + reducer.clock.now_s - last_s,
        left_s=progress.left_s() if runs else None,
        utilisation=reducer.closed.get("utilisation") or finite(reducer.utilisation.share()),
        utilisation_whole=reducer.closed.get("utilisation_whole")
        or finite(reducer.utilisation.whole()),
        front=reducer.front.get("size", 0),
        hypervolume=reducer.front.get("hypervolume"),
        best=tuple(_best(reducer)),
        failures=tuple(group_failures(reducer.failures.values())),
        report=str(report) if report.is_file() else None,
        silent_s=max(0.0, now_s - last_s) if opened else None,
    )
    reducer.clock.now_s = last_s
    return status


def _state(reducer: LogReducer, *, runs: bool) -> tuple[State, str]:
    """Return the state of a sweep, and why it ended."""
    if runs:
        return "running", ""
    if not reducer.opened:
        return "unknown", "it has no log: it never began, or was run by an earlier version"
    if not reducer.closed:
        return "died", "its driver was killed, or its machine was switched off"
    return reducer.closed["outcome"], reducer.closed["why"]


def _running(reducer: LogReducer) -> Iterator[RunningTrial]:
    jobs, trials = reducer.progress.jobs.items(), reducer.progress.trials.items()
    named = [(f"{kind} {key}", job) for (kind, key), job in jobs]
    for name, one in [*named, *((f"trial {number}", trial) for number, trial in trials)]:
        yield RunningTrial(
            name=name,
            params=one.params,
            epoch=one.epoch,
            epochs=one.epochs,
            seconds=reducer.clock.now_s - one.started_s,
        )


def _best(reducer: LogReducer) -> Iterator[Best]:
    best = reducer.front.get("best", {})
    for goal in reducer.opened.get("objectives", ()):
        if goal["metric"] in best:
            about = {name: goal[name] for name in ("metric", "label", "unit")}
            yield Best(**about, **best[goal["metric"]])
