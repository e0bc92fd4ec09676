"""What can be told of arrays, numbers and reports without knowing the task that they are of."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kdtasks.task import Arrays, Report, digest
from sweeps.events import work_failed
from sweeps.records import FailureKind
from sweeps.returned import wrong_numbers

T = TypeVar("T")

TOLERANCE = 1e-4
"""How far a number may be off when it is computed again, relative and absolute; batches differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a law is kept.

    Attributes:
        law: The law, in one clause.
        broken: What was found instead, and how to mend it; empty if the law is kept.
        traceback: Where the task raised; empty if it did not.
    """

    law: str
    broken: str = ""
    traceback: str = ""


class UnfitError(Exception):
    """A task cannot be checked any further; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.broken)
        self.finding = finding


def tried(what: str, work: Callable[[], T]) -> T:
    """Return what a method returns.

    Raises:
        UnfitError: If it raises.
    """
    try:
        return work()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failed = work_failed(error)
        law, broken = f"{what} does its work", failed.reason
        if failed.kind is FailureKind.CONTRACT:
            law, broken = f"{what} returns what it must", broken.removeprefix(f"{what}: ")
        raise UnfitError(Finding(law, broken, failed.traceback)) from error


def needed(law: str, broken: str) -> Finding:
    """Return that a law is kept without which no other can be tried.

    Raises:
        UnfitError: If it is broken.
    """
    if broken:
        raise UnfitError(Finding(law, broken))
    return Finding(law)


def read_only(arrays: Arrays) -> None:
    """Make arrays as they are in Ray's object store: whoever writes to them is told so."""
    for array in arrays.values():
        array.setflags(write=False)


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
                "kdtasks.seeding"
            )
    return ""


def differing_numbers(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    """Return which of the numbers of ``other`` are not in ``one``; empty if all are."""
    for name, value in other.items():
        if name not in one:
            return f"{name} is {value:g}, and training reports no {name}"
        same = math.isclose(one[name], value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        if not (same or (math.isnan(value) and math.isnan(one[name]))):
            return f"{name} is {value:g} and was {one[name]:g}"
    return ""


def wrong_reports(reports: Sequence[Report]) -> str:
    """Return what is wrong with the reports of a training; empty if nothing is."""
    if not reports:
        return "there are none; yield one kdtasks.task.Report per epoch"
    told = [(report.epoch, report.epochs) for report in reports]
    if told != [(number, len(reports)) for number in range(1, len(reports) + 1)]:
        shown = ", ".join(f"{epoch} of {epochs}" for epoch, epochs in told[:4])
        more = "" if len(told) <= 4 else f", ... {len(told)} reports"
        return f"they say {shown}{more}; count from 1 to the number of reports"
    return next(
        (f"after epoch {r.epoch}: {w}" for r in reports if (w := not_finite(r.metrics))), ""
    )
