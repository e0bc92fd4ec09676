"""Laws of tasks, and the comparisons that they use.

A law is a sentence about `kdtasks.contract.task.KDTask` or `kdtasks.contract.collaboration`, with a
function that returns how a task breaks it.
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
"""Returns how a law is broken, with the fix; empty if it holds."""

Subject = Callable[[Evidence], str | None]
"""Returns the identity of what a law is about, so that trials that share it are checked once; None
if the law does not apply to the trial."""


def of_task(_evidence: Evidence) -> str:
    """Identify a law about the task."""
    return ""


def of_trial(evidence: Evidence) -> str:
    """Identify a law about a trial."""
    return fingerprint(evidence.config)


def of_data(evidence: Evidence) -> str:
    """Identify a law about the data."""
    return str(evidence.task.scenario_fingerprint(evidence.config))


def of_teacher(evidence: Evidence) -> str | None:
    """Identify a law about the teacher, if there is one."""
    return evidence.task.teacher_fingerprint(evidence.config)


@dataclass(frozen=True, slots=True)
class Law:
    """A law of tasks: the name of its function, and the law in one clause."""

    name: str
    sentence: str
    broken: Broken
    subject: Subject


def law(to: list[Law], subject: Subject) -> Callable[[Broken], Broken]:
    """Add a function to a list of laws; its docstring is the sentence."""

    def register(broken: Broken) -> Broken:
        words = str(broken.__doc__).rstrip(".")
        sentence = " ".join((words[0].lower() + words[1:]).split())
        to.append(Law(broken.__name__, sentence, broken, subject))
        return broken

    return register


def not_finite(metrics: Mapping[str, Any]) -> str:
    """Return which metrics are not finite; empty if all are."""
    if wrong := wrong_numbers(metrics, "its result"):
        return wrong
    infinite = [name for name, value in metrics.items() if not math.isfinite(float(value))]
    return "; ".join(f"{name} is {metrics[name]!r}" for name in infinite)


def differing(one: Arrays, other: Arrays) -> str:
    """Return how two trainings differ that should be equal bit for bit."""
    if one.keys() != other.keys():
        return f"{sorted(one.keys() ^ other.keys())} exist in only one"
    for name in one:
        if digest({name: one[name]}) != digest({name: other[name]}):
            return (
                f"trained twice, {name!r} differs; draw weights, order and everything else from "
                "kdtasks.learning.random"
            )
    return ""


def differing_numbers(
    one: Mapping[str, float], other: Mapping[str, float], tolerance: float = TOLERANCE
) -> str:
    """Return which number of ``other`` ``one`` lacks or contradicts; empty if none."""
    for name, value in other.items():
        if name not in one:
            return f"{name} is {value:g}, but training reports no {name}"
        same = math.isclose(one[name], value, rel_tol=tolerance, abs_tol=tolerance)
        if not (same or (math.isnan(value) and math.isnan(one[name]))):
            return f"{name} is {value:g} and was {one[name]:g}"
    return ""


def wrong_reports(reports: Sequence[Report]) -> str:
    """Return what is wrong with the reports of a training; empty if nothing is."""
    if not reports:
        return "there are none; yield one kdtasks.contract.task.Report per epoch"
    counts = [(report.epoch, report.epochs) for report in reports]
    if counts != [(number, len(reports)) for number in range(1, len(reports) + 1)]:
        shown = ", ".join(f"{epoch} of {epochs}" for epoch, epochs in counts[:4])
        more = "" if len(counts) <= 4 else f", ... {len(counts)} reports"
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
    return shown or "the order differs"


def _others(value: Value) -> list[Value]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return []  # only the task knows valid words
    return [value + 1, 2 * value, value / 2]


def with_other(task: KDTask, config: Params, name: str) -> Params | None:
    """Return the parameters with another value of one of them; None if none is known."""
    for value in _others(config[name]):
        try:
            changed = task.complete({**config, name: value})
        except ConfigError:
            continue
        if changed.get(name) == value:
            return changed
    return None
