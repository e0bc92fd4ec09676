"""Counts of trials by their end, what they cost, and why they and jobs failed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from analysis import layout
from analysis.failures import UNKNOWN, FailureGroup, group_failures, trials_named
from sweeps.common.records import FailureKind, JobRecord, TrialRecord, TrialState


def finished_in_order(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the complete trials in the order in which they ended."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (trial.ended_ms or 0, trial.number))


def failed(trials: Sequence[TrialRecord]) -> Iterator[tuple[str, str, int]]:
    """Yield kind, reason and number of every trial that failed."""
    for trial in trials:
        if trial.state is TrialState.FAIL and not (trial.duplicate or trial.interrupted):
            yield trial.failure.value if trial.failure else "", trial.reason, trial.number


def lost_methods(trials: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Return the methods of which all trials failed, and more than one; sorted.

    A single one may have diverged for its other parameters.
    """
    ended: dict[str, list[bool]] = {}
    for trial in trials:
        if trial.duplicate or trial.interrupted:
            continue
        for name, value in trial.config.items():
            if name.rpartition("/")[2] == layout.METHOD:  # in a network behind its task
                good = trial.state is not TrialState.FAIL
                ended.setdefault(f"{name} {value}", []).append(good)
    return tuple(sorted(m for m, found in ended.items() if len(found) > 1 and not any(found)))


def paid(trials: Sequence[TrialRecord]) -> dict[str, float]:
    """Return the cost of trials, by metric name.

    Processor time covers trials that trained to their end; it is unknown for trials that were
    stopped early or failed, and for lost attempts. Wall time covers all trials' slots.
    """
    spans_ms = [
        max(0, trial.ended_ms - trial.started_ms)
        for trial in trials
        # an interrupted trial is closed on resume, maybe days later
        if trial.started_ms and trial.ended_ms and not trial.interrupted
    ]
    return {
        layout.TRIALS_CPU_S: sum(trial.metrics.get("trial_cpu_s", 0.0) for trial in trials),
        layout.TRIALS_WALL_S: sum(spans_ms) / 1000.0,
    }


def counts(trials: Sequence[TrialRecord]) -> dict[str, int]:
    """Return the number of trials by how they ended, and the epochs saved, by metric name."""
    kinds = Counter(kind or UNKNOWN for kind, _, _ in failed(trials))
    suggested = [trial for trial in trials if not trial.duplicate]
    real = [trial for trial in suggested if not trial.interrupted]
    return {
        "trials_complete": sum(trial.state is TrialState.COMPLETE for trial in real),
        "trials_pruned": sum(trial.state is TrialState.PRUNED for trial in real),
        "trials_failed": sum(trial.state is TrialState.FAIL for trial in real),
        "epochs_saved": sum(t.trained[1] - t.trained[0] for t in real if t.trained is not None),
        "trials_interrupted": len(suggested) - len(real),
        "suggestions_repeated": len(trials) - len(suggested),
        **{layout.FAILED_KIND + kind: count for kind, count in sorted(kinds.items())},
    }


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
