"""What can be told of arrays, numbers and reports without knowing the task that they are of."""

import math
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdtasks.task import Arrays, Report, digest
from sweeps.events import WorkFailedError, one_line

T = TypeVar("T")

NUMBERS = "biuf"
"""Kinds of NumPy types that files of weights hold: truth values, whole and floating numbers."""

TOLERANCE = 1e-4
"""How far a number may be off when it is computed again, relative and absolute; batches differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a law is kept.

    Attributes:
        law: The law, in one clause.
        broken: What was found instead, and how to mend it; empty if the law is kept.
    """

    law: str
    broken: str = ""


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
    except Exception as error:
        raise UnfitError(Finding(f"{what} does its work", raised_where(error))) from error


def raised_where(error: BaseException) -> str:
    """Return an error in one line with the place where it was raised."""
    if isinstance(error, WorkFailedError):
        said, trace = error.reason, error.traceback
    else:
        said, trace = one_line(error), "".join(traceback.format_tb(error.__traceback__))
    places = re.findall(r'File "([^"]+)", line (\d+)', trace)
    return f"{said} ({Path(places[-1][0]).name}, line {places[-1][1]})" if places else said


def read_only(arrays: Arrays) -> None:
    """Make arrays as they are in Ray's object store: whoever writes to them is told so."""
    for array in arrays.values():
        array.setflags(write=False)


def without_rows(splits: Mapping[str, Arrays]) -> str:
    """Return what is wrong with the arrays of splits; empty if nothing is."""
    for name, split in splits.items():
        if not split:
            return f"{name} has no arrays"
        for key, array in split.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in f"{NUMBERS}c":
                return f"{name}[{key!r}] is {_described(array)}; take a NumPy array of numbers"
            if array.ndim == 0 or len(array) == 0:
                return f"{name}[{key!r}] has shape {array.shape}; the first axis counts samples"
    return ""


def cannot_be_stored(arrays: Arrays) -> str:
    """Return which arrays a file of weights cannot hold; empty if it holds all."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in NUMBERS:
            return f"{name!r} is {_described(array)}; take a NumPy array of real numbers"
    return "" if arrays else "there are no weights; return what evaluate needs"


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return f"a {type(value).__name__}"


def not_finite(metrics: Mapping[str, object]) -> str:
    """Return which metrics are no finite numbers; empty if all are."""
    for name, value in metrics.items():
        if not isinstance(value, int | float | np.number) or not math.isfinite(value):
            return f"{name} is {value!r}"
    return ""


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
