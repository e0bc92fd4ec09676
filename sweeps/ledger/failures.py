"""Failures of a sweep with their tracebacks; trials with the same reason are grouped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.failures import group_failures, trials_named
from sweeps.common.records import FailureKind, JobRecord, TrialRecord
from sweeps.ledger.totals import failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A failed job, or trials that failed for the same reason.

    Attributes:
        what: Trials or a job.
        kind: Kind of failure.
        reason: Why, in one line.
        count: Number of failures.
        trials: Numbers of the first such trials; empty for a job.
        traceback: Of the first one; empty if nothing was raised.
    """

    what: str
    kind: str
    reason: str
    count: int = 1
    trials: tuple[int, ...] = ()
    traceback: str


def faults(trials: Sequence[TrialRecord], jobs: Sequence[JobRecord]) -> Iterator[Fault]:
    """Yield failed trials grouped by reason, the most frequent first, then failed jobs."""
    for group in group_failures(failed(trials)):
        yield Fault(
            what=f"{'trial' if group.count == 1 else 'trials'} {trials_named(group)}",
            kind=group.kind,
            reason=group.reason,
            count=group.count,
            trials=group.trials,
            traceback=trials[group.trials[0]].traceback,
        )
    for job in jobs:
        if job.reason:
            yield Fault(
                what=job.key.replace("/", " ", 1),
                kind=FailureKind.RAISED.value,
                reason=job.reason,
                traceback=job.traceback,
            )
