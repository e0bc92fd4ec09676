"""What a sweep is doing, or what became of it, from its log alone: nothing is locked or written."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from analysis import layout
from analysis.failures import FailureGroup, group_failures
from kdtasks.contract.params import Value
from kdtasks.data.reading import damage_named
from sweeps.common.file_types import check_types
from sweeps.ledger.process_lock import Driver, read_driver
from sweeps.progress.log import LogReader
from sweeps.progress.log_replay import LogReducer
from sweeps.progress.state import Running

State = Literal["running", "finished", "interrupted", "failed", "died", "unknown"]
"""What a sweep is doing.

``died``: its driver ended without a word, for it was killed or its machine was switched off.
``unknown``: it has no log.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningTrial:
    """A trial or another job that trains now.

    Attributes:
        name: ``trial 7``, ``teacher 0123abcd``.
        params: What was searched, of a trial.
        epoch: Epochs done, as last noted.
        epochs: Epochs planned; 0 if it has not been noted yet.
        seconds: For how long it has run.
    """

    name: str
    params: Mapping[str, Value]
    epoch: int
    epochs: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The best value of an objective on the front.

    Attributes:
        metric: The objective.
        label: As people call it.
        unit: Its unit; empty for none.
        value: Its value.
        trial: Who has it.
    """

    metric: str
    label: str
    unit: str
    value: float
    trial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepStatus:
    """What a sweep is doing. Times are in seconds; None and NaN-free, so it goes into JSON.

    Attributes:
        name: Name of the sweep.
        study: Its study.
        state: What it is doing.
        why: Why it ended; empty while it runs.
        pid: Number of the process that drives it; None if none does.
        host: Machine of that process, or of the last one.
        since_s: When its last driver began, seconds since 1970.
        drivers: How many drivers it had.
        phase: The part it is in, or was in at last; empty before the first.
        phase_s: How long it has been in it.
        share: Part of the phase that is done, in [0, 1].
        data: Loaded parts, all parts and what a part is, in the phase that loads data.
        jobs: Jobs that ended and all jobs of the phase, where it has such.
        budget: Trials of the whole budget.
        complete: Trials that finished.
        stopped: Trials that were stopped early.
        failed: Trials that failed.
        running: What trains now.
        slots: Trials at once.
        elapsed_s: How long drivers have worked on it.
        left_s: How long the phase will still take; None if that cannot be told.
        utilisation: Share of the slots' time that trials kept busy once all slots were warm;
            None if there were too few trials. Of the last driver, as the next; while it runs, by
            the times of the log.
        utilisation_whole: The same of the whole search.
        front: Trials on the front.
        hypervolume: Of the front; None before the first trial finished.
        best: The best value of every objective on the front.
        failures: Why trials failed.
        report: The report; None if there is none.
        silent_s: How long ago something happened; None without log.
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
    jobs: tuple[int, int]
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

    def facts(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)


class StatusReader:
    """Tells what a sweep is doing, as often as it is asked; reads only what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = LogReader(folder / layout.LOG_FILE)
        self._reducer = LogReducer()

    def read(self, now_s: float) -> SweepStatus:
        """Return what the sweep is doing.

        Raises:
            DataError: If no sense can be made of its log.
        """
        driver = read_driver(self._folder)
        log = self._folder / layout.LOG_FILE
        with damage_named(log, "move it away; the sweep itself is in its ledger"):
            for event in self._log.new():
                self._reducer.add(event)
            status = _status(self._folder, self._reducer, driver, now_s)
            check_types(SweepStatus, status.facts())
        return status


def _status(folder: Path, reducer: LogReducer, driver: Driver | None, now_s: float) -> SweepStatus:
    last_s, report = reducer.clock.now_s, folder / layout.REPORT_DIR / layout.REPORT_FILE
    runs = driver is not None and driver.runs()
    state, why = _state(reducer, runs=runs)
    if runs:
        reducer.clock.now_s = max(now_s, last_s)  # what runs has run until now
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
        jobs=(progress.ended, sum(progress.planned.values())),
        budget=opened.get("trials", 0),
        complete=reducer.counts.get("trials_complete", 0),
        stopped=reducer.counts.get("trials_pruned", 0),
        failed=reducer.counts.get("trials_failed", 0),
        running=tuple(_running(reducer)) if runs else (),
        slots=progress.budget[2],
        elapsed_s=reducer.worked_s + reducer.clock.now_s - last_s,
        left_s=progress.left_s() if runs else None,
        utilisation=reducer.closed.get("utilisation") or _known(reducer.utilisation.share()),
        utilisation_whole=reducer.closed.get("utilisation_whole")
        or _known(reducer.utilisation.whole()),
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
    """Return what a sweep is doing, and why it ended."""
    if runs:
        return "running", ""
    if not reducer.opened:
        return "unknown", "it has no log: it never began, or was run by an earlier version"
    if not reducer.closed:
        return "died", "its driver was killed, or its machine was switched off"
    return reducer.closed["outcome"], reducer.closed["why"]


def _known(share: float) -> float | None:
    return None if math.isnan(share) else share


def _running(reducer: LogReducer) -> Iterator[RunningTrial]:
    for (kind, key), job in reducer.progress.jobs.items():
        yield _one(f"{kind} {key}", job, reducer)
    for number, trial in reducer.progress.trials.items():
        yield _one(f"trial {number}", trial, reducer)


def _one(name: str, running: Running, reducer: LogReducer) -> RunningTrial:
    return RunningTrial(
        name=name,
        params=running.params,
        epoch=running.epoch,
        epochs=running.epochs,
        seconds=reducer.clock.now_s - running.started_s,
    )


def _best(reducer: LogReducer) -> Iterator[Best]:
    best = reducer.front.get("best", {})
    for goal in reducer.opened.get("objectives", ()):
        if goal["metric"] in best:
            found = best[goal["metric"]]
            yield Best(
                metric=goal["metric"],
                label=goal["label"],
                unit=goal["unit"],
                value=found["value"],
                trial=found["trial"],
            )
