"""Domains: the values that one parameter may take, and the condition under which it exists."""

import math
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import StudyError
from search_spaces.fields import CONFIG, Count, Name, Part, Scalar, Scalars, Value

if TYPE_CHECKING:
    import numpy as np

MAX_INT = 2**53
"""Beyond it not every integer is a float, and samplers compute in floats."""

Whole: TypeAlias = Annotated[StrictInt, Field(ge=-MAX_INT, le=MAX_INT)]

MAX_LISTED = 100_000
"""An integer range with more values than this counts as infinite."""


def same(left: object, right: object) -> bool:
    """Return whether two values are equal and of one type."""
    return type(left) is type(right) and left == right


def _check_bounds(low: float, high: float, *, log: bool) -> None:
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


def _require_type(schema: dict[str, Any]) -> None:
    # It has a default for code; a file needs it to choose between the domains.
    del schema["properties"]["type"]["default"]
    schema["required"].append("type")


@dataclass(frozen=True, kw_only=True, config={**CONFIG, "json_schema_extra": _require_type})
class Parameter(Part):
    """Base of the domains."""

    when: dict[Name, Scalars] = field(default_factory=dict)
    """The parameter exists only if each parameter named here exists and has a value listed here."""


@dataclass(frozen=True)
class Float(Parameter):
    """A real interval."""

    low: StrictFloat
    high: StrictFloat
    log: StrictBool = False
    """Draw uniformly in the logarithm; needs low > 0."""
    type: Literal["float"] = field(default="float", kw_only=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_bounds(self.low, self.high, log=self.log)
        if not math.isfinite(self.high - self.low):
            raise StudyError(f"is too far from low = {self.low}, got {self.high}", place="high")
        return self

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is a number in the interval; whole numbers count."""
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        )

    def sample(self, rng: "np.random.Generator") -> float:
        """Draw one value."""
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = float(rng.uniform(self.low, self.high))
        return min(max(drawn, self.low), self.high)

    def values(self) -> None:
        """Return None: the values are infinitely many."""

    def size(self) -> None:
        """Return None: the values are infinitely many."""

    def __str__(self) -> str:
        return f"a number in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class Int(Parameter):
    """Whole numbers low, low + step, ..., high."""

    low: Whole
    high: Whole
    log: StrictBool = False
    """Draw uniformly in the logarithm; needs low > 0 and step 1."""
    step: Count = 1
    type: Literal["int"] = field(default="int", kw_only=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_bounds(self.low, self.high, log=self.log)
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
        return self

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is an int (not a bool, not 16.0) on the grid."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def sample(self, rng: "np.random.Generator") -> int:
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
class Choice(Parameter):
    """One of a few values, without order.

    No two of them are equal. Booleans stand alone: mixed with other values they are mostly a slip.
    """

    options: Annotated[tuple[Scalar, ...], Field(alias="values", min_length=1)]
    type: Literal["choice"] = field(default="choice", kw_only=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for index, value in enumerate(self.options):
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
        return self

    def contains(self, value: object) -> bool:
        """Return whether ``value`` is one of the values, of the same type."""
        return any(same(value, option) for option in self.options)

    def sample(self, rng: "np.random.Generator") -> Value:
        """Draw one value, each with the same probability."""
        return self.options[int(rng.integers(len(self.options)))]

    def values(self) -> tuple[Value, ...]:
        """Return every value in the order of the study file."""
        return self.options

    def size(self) -> int:
        """Return how many values there are."""
        return len(self.options)

    def __str__(self) -> str:
        return f"one of {list(self.options)}"


Domain: TypeAlias = Annotated[Float | Int | Choice, Field(discriminator="type")]


def place_of(domain: Float | Int, value: Value) -> float:
    """Return where a number lies in its range, from 0 to 1; by its logarithm if that is drawn."""
    low, high, at = (float(v) for v in (domain.low, domain.high, value))
    if domain.log:
        low, high, at = (math.log(v) for v in (low, high, at))
    return (at - low) / (high - low) if high > low else 0.0


def value_at(domain: Float, place: float) -> float:
    """Return the number at a place in a range, the inverse of `place_of`."""
    found = domain.low + place * (domain.high - domain.low)
    if domain.log:
        found = domain.low * math.exp(place * math.log(domain.high / domain.low))
    return min(domain.high, max(domain.low, found))
