"""Checks whether the metrics of a finished trial are valid for the sampler."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from search_spaces.study import Study
from sweeps.common.records import FailureKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The verdict on the metrics of a trial.

    Attributes:
        values: The objectives in the study's order; empty if the trial failed.
        violations: Violation of each constraint, by metric.
        reason: Why the trial failed; empty if it did not.
    """

    values: tuple[float, ...] = ()
    violations: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    kind: FailureKind = FailureKind.MISSING


def _problems(study: Study, metrics: Mapping[str, float]) -> Iterator[tuple[FailureKind, str]]:
    wanted = [objective.metric for objective in study.objectives]
    for name in [*wanted, *(constraint.metric for constraint in study.constraints)]:
        if name not in metrics:
            yield FailureKind.MISSING, f"{name} is missing from the trial's metrics"
        elif not math.isfinite(metrics[name]):
            yield FailureKind.NOT_FINITE, f"{name} is {metrics[name]}"
    for goal in study.objectives:
        value = metrics.get(goal.metric, 0.0)
        if goal.scale == "log" and -math.inf < value < 0.0:
            problem = f"{goal.metric} is {value}, which its logarithmic scale cannot show"
            yield FailureKind.OFF_SCALE, problem


def judge(study: Study, metrics: Mapping[str, float]) -> Verdict:
    """Return the verdict on a trial's final metrics."""
    if problems := [*_problems(study, metrics)]:
        # the most important kind counts
        kind = min((kind for kind, _ in problems), key=list(FailureKind).index)
        return Verdict(reason="; ".join(dict.fromkeys(text for _, text in problems)), kind=kind)
    return Verdict(
        values=tuple(metrics[objective.metric] for objective in study.objectives),
        violations={
            constraint.metric: constraint.violation(metrics[constraint.metric])
            for constraint in study.constraints
        },
    )
