"""Failures of a sweep with their tracebacks; trials with the same reason are grouped."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from analysis.failures import FailureGroup, group_failures, trials_named
from sweeps.common.records import FailureKind, JobRecord, TrialRecord
from sweeps.ledger.totals import failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault(FailureGroup):
    """A failed job, of which there is one and no trial, or trials that failed for the same reason.

    Attributes:
        what: Trials or a job.
        traceback: Of the first one; empty if nothing was raised.
    """

    what: str
    traceback: str


def faults(trials: Sequence[TrialRecord], jobs: Sequence[JobRecord]) -> Iterator[Fault]:
    """Yield failed trials grouped by reason, the most frequent first, then failed jobs."""
    for group in group_failures(failed(trials)):
        yield Fault(
            **asdict(group),
            what=f"{'trial' if group.count == 1 else 'trials'} {trials_named(group)}",
            traceback=trials[group.trials[0]].traceback,
        )
    for job in jobs:
        if job.reason:
            yield Fault(
                what=job.key.replace("/", " ", 1),
                kind=FailureKind.RAISED.value,
                reason=job.reason,
                count=1,
                trials=(),
                traceback=job.traceback,
            )
