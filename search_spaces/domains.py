"""Domains: the values that one parameter may take."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from search_spaces.errors import StudyError

Value: TypeAlias = bool | int | float | str
"""A JSON scalar; its type is part of it: 16, 16.0 and True are three values."""

MAX_INT = 2**53
"""Beyond it not every integer is a float, and samplers compute in floats."""

MAX_LISTED = 100_000
"""An integer range with more values than this counts as one without end."""


def same(left: object, right: object) -> bool:
    """Return whether two values are equal and of one type."""
    return type(left) is type(right) and left == right


def is_value(value: object) -> bool:
    """Return whether ``value`` is a JSON scalar other than null, and finite if a number."""
    return isinstance(value, bool | int | str) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _check_bounds(low: float, high: float, *, log: bool) -> None:
    for name, bound in (("low", low), ("high", high)):
        if not math.isfinite(bound):
            raise StudyError(f"must be finite, got {bound}", place=name)
    if not low < high:
        raise StudyError(
            f"must be below high = {high}, got {low}; widen the range, or fix the value "
            "under 'parameters' if it is not to vary",
            place="low",
        )
    if log and low <= 0:
        raise StudyError(
            f"must be above 0 when log is true, got {low}; raise it or drop log", place="low"
        )


@dataclass(frozen=True)
class Float:
    """A real interval ``[low, high]``.

    Attributes:
        low: Smallest value, in the unit of the parameter.
        high: Largest value.
        log: Draw uniformly in the logarithm; needs ``low > 0``.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, log=self.log)
        if not math.isfinite(self.high - self.low):
            raise StudyError(f"lies too far from low = {self.low}, got {self.high}", place="high")

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is a number in the interval; whole numbers count."""
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        )

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = float(rng.uniform(self.low, self.high))
        return min(max(drawn, float(self.low)), float(self.high))

    def values(self) -> None:
        """Return None: there is no end of values."""

    def size(self) -> None:
        """Return None: there is no end of values."""

    def __str__(self) -> str:
        return f"a number in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class Int:
    """Whole numbers ``low, low + step, ..., high``.

    Attributes:
        low: Smallest value.
        high: Largest value; must be reached by the steps.
        log: Draw uniformly in the logarithm; needs ``low > 0`` and ``step = 1``.
        step: Distance of neighbouring values, at least 1.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        # First, because larger integers cannot even be asked whether they are finite.
        if max(abs(self.low), abs(self.high)) > MAX_INT:
            raise StudyError(f"must lie within +-2^53, got {self.low} to {self.high}")
        _check_bounds(self.low, self.high, log=self.log)
        if self.step < 1:
            raise StudyError(f"must be at least 1, got {self.step}", place="step")
        if self.log and self.step != 1:
            raise StudyError(
                f"must be 1 when log is true, got {self.step}; drop one of them", place="step"
            )
        if rest := (self.high - self.low) % self.step:
            raise StudyError(
                f"does not fit between low = {self.low} and high = {self.high}, got {self.step}; "
                f"high = {self.high - rest} would fit",
                place="step",
            )

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is an int (not a bool, not 16.0) on the grid."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if not self.log:
            return self.low + self.step * int(rng.integers(self._count))
        # Half a step beyond the ends, so that the end values get their full share.
        drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(drawn), self.low), self.high)

    def values(self) -> tuple[Value, ...] | None:
        """Return every value in rising order, or None if they are more than `MAX_LISTED`."""
        if self.size() is None:
            return None
        return tuple(range(self.low, self.high + 1, self.step))

    def size(self) -> int | None:
        """Return how many values there are, or None if they are more than `MAX_LISTED`."""
        return self._count if self._count <= MAX_LISTED else None

    @property
    def _count(self) -> int:
        return (self.high - self.low) // self.step + 1

    def __str__(self) -> str:
        steps = f" in steps of {self.step}" if self.step != 1 else ""
        return f"a whole number in [{self.low}, {self.high}]{steps}"


@dataclass(frozen=True)
class Choice:
    """One of a few values, without order.

    Attributes:
        options: The values, of JSON scalar types, no two of them equal. Booleans stand alone:
            mixed with other values they are mostly a YAML accident.
    """

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise StudyError("is empty; list at least one value", place="values")
        for index, value in enumerate(self.options):
            if not is_value(value):
                raise StudyError(
                    f"must be text, a finite number, true or false, got {value!r}",
                    place=f"values.{index}",
                )
            # By ==, because 16 and 16.0 would be one configuration run twice.
            if value in self.options[:index]:
                raise StudyError(
                    f"{value!r} repeats an earlier value; drop it", place=f"values.{index}"
                )
        if len({isinstance(value, bool) for value in self.options}) > 1:
            raise StudyError(
                f"mixes true or false with other values, got {list(self.options)}; "
                "put quotes around the text that is meant",
                place="values",
            )

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is one of the values, of the same type."""
        return any(same(value, option) for option in self.options)

    def sample(self, rng: np.random.Generator) -> Value:
        """Draw one value, each with the same chance."""
        return self.options[int(rng.integers(len(self.options)))]

    def values(self) -> tuple[Value, ...]:
        """Return every value in the order of the study file."""
        return self.options

    def size(self) -> int:
        """Return how many values there are."""
        return len(self.options)

    def __str__(self) -> str:
        return f"one of {list(self.options)}"


Domain: TypeAlias = Float | Int | Choice
