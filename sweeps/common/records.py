"""Facts about trials, frozen: what was asked for and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from kdtasks.contract.params import Value


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


class TrialState(StrEnum):
    """Where a trial stands; the names are Optuna's."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class FailureKind(StrEnum):
    """What sort of failure a trial's is, decided where it arises; what matters most comes first."""

    RAISED = "raised"
    """The task raised an error."""
    CONTRACT = "contract"
    """The task returned something else than `kdtasks.contract.task.KDTask` promises."""
    MISSING = "missing"
    """A number that is an objective or under a constraint is not among its metrics."""
    NOT_FINITE = "not_finite"
    """Such a number is infinite or not a number."""
    OFF_SCALE = "off_scale"
    """An objective with a logarithmic scale is negative."""
    REFUSED = "refused"
    """The task does not accept the configuration; it never ran."""
    NOT_PREPARED = "not_prepared"
    """Its data or teacher are not there; it never ran."""
    MESSAGE = "message"
    """A node refused a message."""
    NODE_LOST = "node_lost"
    """A node actor died or fell silent, also when the trial was tried anew."""
    PROCESS_DIED = "process_died"
    """Its process died, also when it was tried anew."""
    DISK = "disk"
    """The disk is full, or takes nothing."""
    INTERRUPTED = "interrupted"
    """The user, an error of the engine or a kill ended the sweep: no failure, it runs again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RungEntry:
    """What a trial had come to when it was compared with others.

    Attributes:
        rung: Share of the training at which it was compared.
        epoch: Epochs done.
        epochs: Epochs planned.
        metrics: Objectives, and numbers under a constraint as far as they were known.
    """

    rung: float
    epoch: int
    epochs: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Why and where a trial is stopped early.

    Attributes:
        reason: In one line.
        epoch: Epochs done; 0 if it never began.
        epochs: Epochs planned; 0 if it never began.
        metrics: Numbers known by now.
        violations: By how much each constraint is missed whose metric training cannot change.
    """

    reason: str
    epoch: int = 0
    epochs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One trial as the ledger knows it.

    Attributes:
        number: Its number in the ledger, from 0.
        state: Where it stands.
        params: The parameters that were searched.
        metrics: Final numbers; of a trial that was stopped early those of its last report; empty
            until it has ended.
        reason: Why it failed or was stopped early; empty otherwise.
        failure: What sort of failure that is; None if it did not fail, if it was a repetition that
            never ran, or if an earlier version noted none.
        traceback: Where it raised; empty if it did not raise.
        duplicate: True if the suggestion repeated a known configuration and was never run.
        config: All parameters that the task was given, completed.
        taught: Whether it had a teacher; None if it never got a slot.
        violations: By how much each constraint is missed, by metric; positive is infeasible.
        interrupted: True if it failed only because the sweep was stopped.
        curves: What it reported while it trained, as `sweeps.common.curves.read` takes it.
        rungs: What it had come to where it was compared with others, in order.
        trained: Epochs done and planned when it was stopped early; None otherwise. Planned are 0
            if it was stopped before its first report.
        sha256: Of the file with its weights; empty if it has none, or an earlier version noted
            none.
        started_ms: When it got its slot, milliseconds since 1970; None if it never ran.
        ended_ms: When it ended, milliseconds since 1970.
    """

    number: int
    state: TrialState
    params: Mapping[str, Value]
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    failure: FailureKind | None = None
    traceback: str = ""
    duplicate: bool = False
    config: Mapping[str, Value] = field(default_factory=dict)
    taught: bool | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    interrupted: bool = False
    curves: str = ""
    rungs: tuple[RungEntry, ...] = ()
    trained: tuple[int, int] | None = None
    sha256: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None

    @property
    def feasible(self) -> bool:
        """Whether no constraint is missed."""
        return all(violation <= 0.0 for violation in self.violations.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTrial:
    """A finished trial of an earlier sweep, from which a sampler may learn.

    Attributes:
        sweep: Name of that sweep.
        number: Its number there.
        params: The parameters that the present study searches, with the values that it had.
        values: The present study's objectives, in their order; finite.
        violations: By how much the present study's constraints are missed, by metric.
    """

    sweep: str
    number: int
    params: Mapping[str, Value]
    values: tuple[float, ...]
    violations: Mapping[str, float]


JobKind = Literal["teacher", "baseline", "confirmation"]
"""Work beside the search; the values are the roles of the runs in MLflow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """A teacher, a baseline or a confirmation as the ledger knows it.

    Attributes:
        kind: What it is.
        key: Unique within the sweep, as ``analysis.layout.CHILD_KEY`` says.
        params: All parameters that it was given.
        metrics: Its numbers; those of the test split start with ``test_``.
        reason: Why it failed; empty otherwise.
        traceback: Where it raised; empty if it did not raise.
        trial: The trial that a confirmation repeats.
        identity: Of a teacher its key in the cache, see `sweeps.ledger.identity.TeacherIdentity`.
        sha256: Of a teacher the hashes of its files in the cache, by their names; none in sweeps of
            older versions.
        started_ms: When it began, milliseconds since 1970.
        ended_ms: When it ended, milliseconds since 1970.
    """

    kind: JobKind
    key: str
    params: Mapping[str, Value]
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    traceback: str = ""
    trial: int | None = None
    identity: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    started_ms: int
    ended_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactRecord:
    """A file that MLflow was given.

    Attributes:
        run: Key of the run that it is attached to; empty for the sweep's own.
        path: Where it is below that run.
        sha256: Of its content.
    """

    run: str
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRecord:
    """What was measured of a trial's student when it was exported.

    Attributes:
        trial: The trial.
        metrics: Latency and size, by the names of ``analysis.layout``.
        measured_on: Runtime and machine.
        exported_ms: When, milliseconds since 1970.
    """

    trial: int
    metrics: Mapping[str, float]
    measured_on: str
    exported_ms: int
