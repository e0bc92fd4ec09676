"""What is wanted: objectives with direction, unit and reference point, and constraints."""

import math
from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import StudyError


@dataclass(frozen=True)
class Objective:
    """One number to optimise.

    Attributes:
        metric: Name of a metric that the task reports.
        direction: Which way is better.
        unit: Unit of the metric as printed; empty for a pure number.
        reference: Its coordinate of the reference point of the hypervolume, in ``unit``: the
            worst value that still counts.
        label: Name on axes and in tables.
        scale: Scale of its axis; ``log`` also measures the hypervolume in decades, and ends at the
            ``floor``.
        tolerance: Differences up to this count as equal, in ``unit``; if scale is ``log``, as a
            share of the smaller value: 0.05 for 5 %.
    """

    metric: str
    direction: Literal["minimize", "maximize"]
    unit: str
    reference: float
    label: str
    scale: Literal["linear", "log"] = "linear"
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.reference):
            raise StudyError(
                f"must be a finite number, got {self.reference}; take the worst value that "
                "still counts",
                place="reference",
            )
        if self.scale == "log" and self.reference <= 0:
            raise StudyError(
                f"must be above 0 when scale is log, got {self.reference}", place="reference"
            )
        if not 0.0 <= self.tolerance < math.inf:
            raise StudyError(
                f"must be a finite number of at least 0, got {self.tolerance}", place="tolerance"
            )
        if self.scale == "log" and self.tolerance >= 1.0:
            raise StudyError(
                f"is a share when scale is log and must be below 1, got {self.tolerance}; 0.05 "
                "counts values within 5 % as equal",
                place="tolerance",
            )

    @property
    def floor(self) -> float:
        """Where its scale ends below: ``log`` at a millionth of the reference.

        Values below it, above all 0, stand there in hypervolume, distances and figures. On the
        front they are compared as they are.
        """
        return 1e-6 * self.reference if self.scale == "log" else -math.inf


@dataclass(frozen=True)
class Constraint:
    """A bound that a configuration must keep to be on the front.

    Attributes:
        metric: Name of a metric that the task reports.
        max: Largest feasible value, in the unit of the metric.
        min: Smallest feasible value.
    """

    metric: str
    max: float | None = None
    min: float | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if not bounds:
            raise StudyError("has neither max nor min; give one of them")
        if not all(math.isfinite(bound) for bound in bounds):
            raise StudyError(f"needs finite bounds, got min = {self.min}, max = {self.max}")
        if bounds != sorted(bounds):
            raise StudyError(f"must not be above max = {self.max}, got {self.min}", place="min")

    def violation(self, value: float) -> float:
        """Return by how much ``value`` breaks the bound, in its unit; feasible if at most 0.

        NaN is infinitely infeasible.
        """
        if math.isnan(value):
            return math.inf
        over = -math.inf if self.max is None else value - self.max
        under = -math.inf if self.min is None else self.min - value
        return max(over, under)
