"""What a law of a task is, and what laws compare.

The promises are those of `kdtasks.contract.task.KDTask` and `kdtasks.contract.collaboration`; each
is a sentence, and a function that says what breaks it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import Arrays, KDTask, Report, digest
from sweeps.common.returned_values import wrong_numbers
from sweeps.plan.evidence import TOLERANCE, Evidence

Broken = Callable[[Evidence], str]
"""Returns what breaks a law, and how to mend it; empty if it is kept."""

Subject = Callable[[Evidence], str | None]
"""Returns what of a trial a law is about: trials that have it in common keep it together, or break
it. None if the law is not about such a trial."""


def of_task(_evidence: Evidence) -> str:
    """Return that a law is about the task, whatever the trial."""
    return ""


def of_trial(evidence: Evidence) -> str:
    """Return that a law is about a trial alone."""
    return fingerprint(evidence.config)


def of_data(evidence: Evidence) -> str:
    """Return that a law is about the data."""
    return str(evidence.task.scenario_fingerprint(evidence.config))


def of_teacher(evidence: Evidence) -> str | None:
    """Return that a law is about the teacher, if there is one."""
    return evidence.task.teacher_fingerprint(evidence.config)


@dataclass(frozen=True, slots=True)
class Law:
    """What a task promises.

    Attributes:
        name: The name of its function.
        sentence: The law, in one clause.
        broken: Returns what breaks it.
        subject: What it is about.
    """

    name: str
    sentence: str
    broken: Broken
    subject: Subject


def law(to: list[Law], subject: Subject) -> Callable[[Broken], Broken]:
    """Put a function into a list of laws; its docstring is the sentence."""

    def register(broken: Broken) -> Broken:
        words = str(broken.__doc__).rstrip(".")
        sentence = " ".join((words[0].lower() + words[1:]).split())
        to.append(Law(broken.__name__, sentence, broken, subject))
        return broken

    return register


def not_finite(metrics: Mapping[str, Any]) -> str:
    """Return which metrics are no finite numbers; empty if all are."""
    if wrong := wrong_numbers(metrics, "what it gives"):
        return wrong
    infinite = [name for name, value in metrics.items() if not math.isfinite(float(value))]
    return "; ".join(f"{name} is {metrics[name]!r}" for name in infinite)


def differing(one: Arrays, other: Arrays) -> str:
    """Return what differs between two trainings that should be the same, bit for bit."""
    if one.keys() != other.keys():
        return f"{sorted(one.keys() ^ other.keys())} are there once only"
    for name in one:
        if digest({name: one[name]}) != digest({name: other[name]}):
            return (
                f"trained twice, {name!r} differs; draw weights, order and all else from "
                "kdtasks.learning.random"
            )
    return ""


def differing_numbers(
    one: Mapping[str, float], other: Mapping[str, float], tolerance: float = TOLERANCE
) -> str:
    """Return which of the numbers of ``other`` are not in ``one``; empty if all are."""
    for name, value in other.items():
        if name not in one:
            return f"{name} is {value:g}, and training reports no {name}"
        same = math.isclose(one[name], value, rel_tol=tolerance, abs_tol=tolerance)
        if not (same or (math.isnan(value) and math.isnan(one[name]))):
            return f"{name} is {value:g} and was {one[name]:g}"
    return ""


def wrong_reports(reports: Sequence[Report]) -> str:
    """Return what is wrong with the reports of a training; empty if nothing is."""
    if not reports:
        return "there are none; yield one kdtasks.contract.task.Report per epoch"
    told = [(report.epoch, report.epochs) for report in reports]
    if told != [(number, len(reports)) for number in range(1, len(reports) + 1)]:
        shown = ", ".join(f"{epoch} of {epochs}" for epoch, epochs in told[:4])
        more = "" if len(told) <= 4 else f", ... {len(told)} reports"
        return f"they count {shown}{more}; count from 1 to the number of reports"
    return next(
        (f"after epoch {r.epoch}: {w}" for r in reports if (w := not_finite(r.metrics))), ""
    )


def changed_params(before: Params, after: Params) -> str:
    """Return which parameters differ, in value or order; empty if none does."""
    if list(before.items()) == list(after.items()):
        return ""
    names = [n for n in {**before, **after} if before.get(n) != after.get(n)]
    shown = ", ".join(f"{n} is {after.get(n)!r} and was {before.get(n)!r}" for n in names)
    return shown or "the order is another"


def _others(value: Value) -> list[Value]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return []  # words are choices that only the task knows
    return [value + 1, 2 * value, value / 2]


def with_other(task: KDTask, config: Params, name: str) -> Params | None:
    """Return the parameters with another value of one; None where none is known."""
    for value in _others(config[name]):
        try:
            changed = task.complete({**config, name: value})
        except ConfigError:
            continue
        if changed.get(name) == value:
            return changed
    return None
