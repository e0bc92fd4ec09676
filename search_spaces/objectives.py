"""Objectives with direction, unit and reference point, and constraints."""

import math
from dataclasses import field
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StrictFloat, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import StudyError
from search_spaces.fields import LEFT_OUT, OrNull, Part, Text, fill_in

Direction: TypeAlias = Literal["minimize", "maximize"]


@dataclass(frozen=True, kw_only=True)
class Objective(Part):
    """One number to optimise."""

    metric: Text
    """Name of a metric that the task reports."""
    direction: Direction
    unit: str = ""
    """Unit of the metric as printed; empty for a pure number."""
    reference: StrictFloat
    """Coordinate of the hypervolume's reference point: the worst value that still counts."""
    scale: Literal["linear", "log"] = "linear"
    """Scale of the axis; log also measures the hypervolume in decades."""
    tolerance: Annotated[StrictFloat, Field(ge=0)] = 0.0
    """Differences up to this count as equal, in the unit; with scale log a share: 0.05 for 5 %."""
    label: Annotated[Text, OrNull()] = LEFT_OUT
    """Name on axes and in tables; the metric's name if left out."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        fill_in(self, label=self.label or self.metric)
        if self.scale == "log" and self.reference <= 0:
            raise StudyError(
                f"must be above 0 when scale is log, got {self.reference}", place="reference"
            )
        if self.scale == "log" and self.tolerance >= 1.0:
            raise StudyError(
                f"is a share when scale is log and must be below 1, got {self.tolerance}; 0.05 "
                "counts values within 5 % as equal",
                place="tolerance",
            )
        return self

    @property
    def floor(self) -> float:
        """Lower end of the scale: with ``log`` a millionth of the reference.

        Hypervolume, distances and figures place lower values there, above all 0. The front compares
        them as they are.
        """
        return 1e-6 * self.reference if self.scale == "log" else -math.inf


@dataclass(frozen=True)
class Constraint(Part):
    """A bound that members of the front keep; give max, min or both."""

    metric: Text
    max: StrictFloat | None = field(default=None, kw_only=True)
    """Largest feasible value, in the unit of the metric."""
    min: StrictFloat | None = field(default=None, kw_only=True)
    """Smallest feasible value."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max is None and self.min is None:
            raise StudyError("has neither max nor min; give one of them")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise StudyError(f"must not be above max = {self.max}, got {self.min}", place="min")
        return self

    def violation(self, value: float) -> float:
        """Return by how much ``value`` breaks the bound, in its unit; feasible if at most 0.

        NaN is infinitely infeasible.
        """
        if math.isnan(value):
            return math.inf
        over = -math.inf if self.max is None else value - self.max
        under = -math.inf if self.min is None else self.min - value
        return max(over, under)
