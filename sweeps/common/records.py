"""Immutable records of trials, jobs, files and exports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from kdtasks.contract.params import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontRow:
    """One finished trial on the current front, with its objectives in their own units."""

    number: int
    params: Mapping[str, Value]
    objectives: Mapping[str, float]


class TrialState(StrEnum):
    """State of a trial, named as in Optuna."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class FailureKind(StrEnum):
    """Kind of a trial's failure, most important first; set where the failure is detected."""

    RAISED = "raised"
    """The task raised an error."""
    CONTRACT = "contract"
    """The task returned a value that violates `kdtasks.contract.task.KDTask`."""
    MISSING = "missing"
    """An objective or constrained metric is missing."""
    NOT_FINITE = "not_finite"
    """An objective or constrained metric is infinite or NaN."""
    OFF_SCALE = "off_scale"
    """An objective with a logarithmic scale is negative."""
    REFUSED = "refused"
    """The task rejected the configuration; the trial never ran."""
    NOT_PREPARED = "not_prepared"
    """Data or teacher are missing; the trial never ran."""
    MESSAGE = "message"
    """A node refused a message."""
    NODE_LOST = "node_lost"
    """A node actor died or stopped responding, also after retries."""
    PROCESS_DIED = "process_died"
    """The trial's process died, also after retries."""
    DISK = "disk"
    """The disk is full or read-only."""
    INTERRUPTED = "interrupted"
    """The sweep was stopped or killed: not a failure; the trial runs again on resume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RungEntry:
    """Objectives and known constrained metrics of a trial where it was compared with others.

    A rung is the share of the training after which that happens.
    """

    rung: float
    epoch: int
    epochs: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Why and where a trial is stopped early.

    Attributes:
        epoch: Epochs done; 0 if it never began.
        violations: Violation of each constraint whose metric training cannot change.
    """

    reason: str
    epoch: int = 0
    epochs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One trial in the ledger.

    Attributes:
        number: Its number in the ledger, from 0.
        metrics: Final metrics; of a pruned trial those of its last report; empty
            until it has ended.
        reason: Why it failed or was stopped early; empty otherwise.
        failure: Kind of failure; None if it did not fail, if it was a duplicate that
            never ran, or if an earlier version recorded none.
        traceback: Where it raised; empty if it did not raise.
        duplicate: Whether the suggestion repeated a known configuration, so that it never ran.
        config: All parameters of the task, completed.
        taught: Whether it had a teacher; None if it never got a slot.
        violations: Violation of each constraint, by metric; positive is infeasible.
        interrupted: True if it failed only because the sweep was stopped.
        curves: Its learning curves, in the format of `sweeps.common.curves.read`.
        trained: Epochs done and planned when it was stopped early; None otherwise. Planned are 0
            if it was stopped before its first report.
        sha256: Of the file with its weights; empty if it has none, or an earlier version recorded
            none.
        started_ms: When it started, milliseconds since 1970; None if it never ran.
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
        """Whether all constraints hold."""
        return all(violation <= 0.0 for violation in self.violations.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTrial:
    """A finished trial of an earlier sweep, from which a sampler may learn.

    Attributes:
        params: The parameters that the present study searches, with the values that it had.
        values: The present study's objectives, in their order; finite.
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
    """A teacher, a baseline or a confirmation in the ledger.

    Attributes:
        key: Unique within the sweep, as ``analysis.layout.CHILD_KEY`` says.
        metrics: Its metrics; those of the test split start with ``test_``.
        reason: Why it failed; empty otherwise.
        traceback: Where it raised; empty if it did not raise.
        scenario: Of a confirmation the fingerprint of its scenario; empty in older versions.
        teacher: Of a confirmation the fingerprint of its teacher; empty if it has none.
        identity: Of a teacher its key in the cache, see `sweeps.ledger.identity.TeacherIdentity`.
        sha256: Of a teacher the hashes of its files in the cache, by their names; none in sweeps of
            older versions.
        started_ms: When it began, milliseconds since 1970.
    """

    kind: JobKind
    key: str
    params: Mapping[str, Value]
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    traceback: str = ""
    trial: int | None = None
    scenario: str = ""
    teacher: str = ""
    identity: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    started_ms: int
    ended_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepRecord:
    """What the ledger has of the sweep as a whole; all empty in older versions.

    Attributes:
        started_ms: When it began, milliseconds since 1970.
        ended_ms: When its last driver ended, milliseconds since 1970.
        metrics: Metrics that do not follow from its trials.
    """

    started_ms: int | None = None
    ended_ms: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactRecord:
    """A file that was sent to MLflow.

    Attributes:
        run: Key of the run that it is attached to; empty for the sweep's own.
        path: Where it is below that run.
    """

    run: str
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRecord:
    """What was measured of a trial's exported student, by the names of ``analysis.layout``."""

    trial: int
    metrics: Mapping[str, float]
    measured_on: str
    exported_ms: int
