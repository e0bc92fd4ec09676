"""Checks whether the metrics of a finished trial are valid for the sampler."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.objectives import Objective
from search_spaces.study import Study
from sweeps.common.records import FailureKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The verdict on the metrics of a trial.

    Attributes:
        values: The objectives in the study's order; empty if the trial failed.
        violations: Violation of each constraint, by metric.
        reason: Why the trial failed; empty if it did not.
        kind: Kind of failure.
    """

    values: tuple[float, ...] = ()
    violations: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    kind: FailureKind = FailureKind.MISSING


def _problem(name: str, metrics: Mapping[str, float]) -> tuple[FailureKind, str] | None:
    if name not in metrics:
        return FailureKind.MISSING, f"{name} is missing from the trial's metrics"
    if not math.isfinite(metrics[name]):
        return FailureKind.NOT_FINITE, f"{name} is {metrics[name]}"
    return None


def _not_on_scale(
    objective: Objective, metrics: Mapping[str, float]
) -> tuple[FailureKind, str] | None:
    value = metrics[objective.metric]
    if objective.scale == "log" and value < 0.0:
        return (
            FailureKind.OFF_SCALE,
            f"{objective.metric} is {value}, which its logarithmic scale cannot show",
        )
    return None


def judge(study: Study, metrics: Mapping[str, float]) -> Verdict:
    """Return the verdict on a trial's final metrics."""
    wanted = [objective.metric for objective in study.objectives]
    wanted += [constraint.metric for constraint in study.constraints]
    problems = [problem for name in wanted if (problem := _problem(name, metrics))]
    if not problems:
        on_scale = (_not_on_scale(objective, metrics) for objective in study.objectives)
        problems = [problem for problem in on_scale if problem]
    if problems:
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
