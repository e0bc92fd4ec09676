"""Everything that failed in a sweep, trials with the same reason once, and where it raised."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.failures import group_failures, trials_named
from sweeps.common.records import FailureKind, JobRecord, TrialRecord
from sweeps.ledger.totals import failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that failed.

    Attributes:
        what: Trials or a job.
        kind: What sort of failure it is.
        reason: Why, in one line.
        count: How often.
        trials: Numbers of the first trials that failed so; none of a job.
        traceback: Where it raised, the first time; empty if it did not raise.
    """

    what: str
    kind: str
    reason: str
    count: int = 1
    trials: tuple[int, ...] = ()
    traceback: str


def faults(trials: Sequence[TrialRecord], jobs: Sequence[JobRecord]) -> Iterator[Fault]:
    """Yield what failed: trials by their reasons, the most frequent first, then jobs."""
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
