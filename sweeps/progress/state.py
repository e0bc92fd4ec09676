"""State of a running sweep, an estimate of the time left, and the utilisation of its slots."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kdtasks.contract.params import Value
from sweeps.common.clock import Clock
from sweeps.common.records import FailureKind, FrontRow, JobKind
from sweeps.progress import events
from sweeps.progress.events import Phase, SweepEvent


@dataclass(kw_only=True, slots=True)
class Running:
    """A job or trial in training.

    Attributes:
        started_s: When it began [s].
        params: Searched parameters of a trial.
        epoch: Epochs done.
        epochs: Epochs planned; 0 until its first report.
    """

    started_s: float
    params: Mapping[str, Value] = field(default_factory=dict)
    epoch: int = 0
    epochs: int = 0

    @property
    def share(self) -> float:
        """Fraction done, in [0, 1]."""
        return self.epoch / self.epochs if self.epochs else 0.0


@dataclass(kw_only=True, slots=True)
class Progress:
    """Counts and times of a sweep.

    Attributes:
        phase: The current part of the sweep; None before the first.
        data: Done, total and unit of the scenario being loaded.
        planned: Number of jobs of the current phase, by kind.
        ended: Number of jobs of the current phase that ended, by kind.
        jobs: Running jobs, by kind and key.
        budget: Trials, limit of wall time [s] and slots of the search.
        trials: Running trials, by number.
        durations_s: Wall times of the finished trials [s].
        stopped_s: Wall times of trials that were stopped early [s]; 0 for one that never began.
        epochs_saved: Epochs that these trials did not train.
        front: The current front, best first objective first.
    """

    clock: Clock
    phase: Phase | None = None
    phase_started_s: float = 0.0
    data: tuple[int, int, str] = (0, 0, "")
    data_started_s: float = 0.0
    planned: dict[JobKind, int] = field(default_factory=dict)
    ended: Counter[JobKind] = field(default_factory=Counter)
    jobs: dict[tuple[JobKind, str], Running] = field(default_factory=dict)
    budget: tuple[int, float | None, int] = (0, None, 1)
    trials: dict[int, Running] = field(default_factory=dict)
    durations_s: list[float] = field(default_factory=list)
    stopped_s: list[float] = field(default_factory=list)
    epochs_saved: int = 0
    failed: int = 0
    front: Sequence[FrontRow] = ()
    hypervolume: float = 0.0

    def handle(self, event: SweepEvent) -> None:
        """Take an event into account."""
        match event:
            case events.PhaseBegun(name):
                self.phase, self.phase_started_s = name, self.clock.elapsed_s()
                self.planned, self.ended, self.jobs = {}, Counter(), {}
                self.data, self.data_started_s = (0, 0, ""), self.phase_started_s
            case events.DataLoaded(done, total, unit):
                if done < self.data[0]:  # of the next scenario
                    self.data_started_s = self.clock.elapsed_s()
                self.data = (done, total, unit)
            case events.SearchStarted(trials, time_s, slots):
                self.budget = (trials, time_s, slots)
            case events.FrontChanged(rows, hypervolume):
                self.front, self.hypervolume = rows, hypervolume
            case events.JobsPlanned() | events.JobReported() | events.JobFinished():
                self._handle_job(event)
            case _:
                self._handle_trial(event)

    def _handle_job(self, event: SweepEvent) -> None:
        match event:
            case events.JobsPlanned(kind, count):
                self.planned[kind] = count
            case events.JobReported(kind, key, epoch, epochs):
                fresh = Running(started_s=self.clock.elapsed_s())
                job = self.jobs.setdefault((kind, key), fresh)
                job.epoch, job.epochs = epoch, epochs
            case events.JobFinished(kind, key):
                self.jobs.pop((kind, key), None)
                self.ended[kind] += 1

    def _handle_trial(self, event: SweepEvent) -> None:
        match event:
            case events.TrialStarted(number, params):
                self.trials[number] = Running(params=params, started_s=self.clock.elapsed_s())
            case events.TrialReported(number, epoch, epochs) if number in self.trials:
                self.trials[number].epoch, self.trials[number].epochs = epoch, epochs
            case events.TrialFinished(number) if number in self.trials:
                self.durations_s.append(self._ended(number))
            case events.TrialStopped(number, epoch, epochs):
                self.stopped_s.append(self._ended(number))
                self.epochs_saved += epochs - epoch
            case events.TrialFailed(number, kind):
                self._ended(number)
                self.failed += kind is not FailureKind.INTERRUPTED

    def _ended(self, number: int) -> float:
        """Remove a running trial and return its wall time [s]; 0 if it never began."""
        trial = self.trials.pop(number, None)
        return 0.0 if trial is None else self.clock.elapsed_s() - trial.started_s

    @property
    def jobs_done(self) -> dict[JobKind, tuple[int, int]]:
        """Ended and planned jobs of the current phase, for each kind that is planned."""
        return {kind: (self.ended[kind], count) for kind, count in self.planned.items() if count}

    @property
    def finished(self) -> int:
        """Number of finished trials."""
        return len(self.durations_s)

    @property
    def spent(self) -> int:
        """Number of trials of the budget that have ended in any way."""
        return self.finished + len(self.stopped_s) + self.failed

    @property
    def phase_s(self) -> float:
        """Time spent in the current phase [s]."""
        return self.clock.elapsed_s() - self.phase_started_s

    @property
    def share(self) -> float:
        """Fraction of the current phase that is done, in [0, 1]; 0 if unknown."""
        if self.phase == "search":
            trials, limit_s, _ = self.budget
            by_trials = self.spent / trials if trials else 0.0
            by_time = self.phase_s / limit_s if limit_s else 0.0
            return min(1.0, max(by_trials, by_time))
        if self.phase == "data":
            return self.data[0] / self.data[1] if self.data[1] else 0.0
        total = sum(self.planned.values())
        done = self.ended.total() + sum(job.share for job in self.jobs.values())
        return min(1.0, done / total) if total else 0.0

    def left_s(self) -> float | None:
        """Estimate the time left of the current phase [s]; None if unknown.

        For the search, the rest of running trials and all future ones take the mean time of a
        trial, spread over the slots; trials that run at a time limit still finish. Other phases
        continue at their speed so far.
        """
        if self.phase == "search":
            return self._search_left_s()
        share, begun_s = self.share, self.phase_started_s
        if self.phase == "data":
            begun_s = self.data_started_s
        return (self.clock.elapsed_s() - begun_s) * (1.0 - share) / share if share > 0.0 else None

    def _search_left_s(self) -> float | None:
        trials, limit_s, slots = self.budget
        trial_s = self._trial_s()
        if trial_s is None:
            return None
        now_s = self.clock.elapsed_s()
        rests_s = [max(0.0, trial_s - (now_s - t.started_s)) for t in self.trials.values()]
        coming = max(0, trials - self.spent - len(self.trials))
        left_s = max([(sum(rests_s) + coming * trial_s) / slots, *rests_s])
        if limit_s is not None:
            left_s = min(left_s, max(0.0, limit_s - self.phase_s) + trial_s)
        return left_s

    def _trial_s(self) -> float | None:
        """Return the mean time of a trial; until one has ended, as running ones suggest."""
        known_s = self.durations_s + self.stopped_s
        if not known_s:
            now_s = self.clock.elapsed_s()
            known_s = [(now_s - t.started_s) / t.share for t in self.trials.values() if t.share]
        return sum(known_s) / len(known_s) if known_s else None


@dataclass
class Utilisation:
    """Tracks the use of the slots' time.

    Attributes:
        slots: Trials that can run at once.
    """

    slots: int
    clock: Clock
    _running: dict[int, float] = field(default_factory=dict)
    _spans: list[tuple[float, float]] = field(default_factory=list)
    _begun_s: float | None = None
    _warm_s: float | None = None
    _last_start_s: float = 0.0

    def begin(self) -> None:
        """The search begins: the slots count from now on."""
        self._begun_s = self.clock.elapsed_s()

    def started(self, number: int) -> None:
        """A trial starts."""
        now_s = self.clock.elapsed_s()
        self._running[number] = now_s
        self._last_start_s = now_s
        if self._warm_s is None and len(self._running) == self.slots:
            self._warm_s = now_s

    def ended(self, number: int, wall_s: float) -> None:
        """A trial ended after its process had worked ``wall_s`` [s]; NaN if unknown."""
        now_s = self.clock.elapsed_s()
        begun_s = self._running.pop(number, now_s)
        # the worker's time is preferred: the driver's includes its own delays
        self._spans.append((begun_s if math.isnan(wall_s) else now_s - wall_s, now_s))

    def share(self) -> float:
        """Return the share of the slots' time used by trials once all slots were warm.

        From the moment all slots were in use to the last start of a trial; NaN if that is no time.
        """
        if self._warm_s is None or self._last_start_s <= self._warm_s:
            return math.nan
        return self._busy(self._warm_s, self._last_start_s)

    def whole(self) -> float:
        """Return the share of the slots' time used by trials in the whole search.

        From `begin` to now while a trial runs, else to the last end of a trial, including the start
        of the workers and idle slots at the end. NaN if that is no time.
        """
        last_s = max((end_s for _, end_s in self._spans), default=-math.inf)
        if self._running:
            last_s = self.clock.elapsed_s()
        if self._begun_s is None or last_s <= self._begun_s:
            return math.nan
        return self._busy(self._begun_s, last_s)

    def _busy(self, first_s: float, last_s: float) -> float:
        spans = self._spans + [(begun_s, last_s) for begun_s in self._running.values()]
        busy_s = sum(max(0.0, min(end, last_s) - max(begin, first_s)) for begin, end in spans)
        return busy_s / (self.slots * (last_s - first_s))
