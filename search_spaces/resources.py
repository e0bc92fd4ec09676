"""What a trial takes of the machines, and how many trials run at once."""

from typing import Annotated, Literal, Self

from pydantic import PlainValidator, StrictFloat, WithJsonSchema, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import StudyError, shown
from search_spaces.fields import Part

SMALLEST = 1e-4
"""The smallest share of a core or a GPU that Ray counts."""


def _slots(value: object) -> int | Literal["max"]:
    if value == "max":
        return "max"
    if not isinstance(value, int) or isinstance(value, bool):
        raise StudyError(f"must be 'max' or a whole number, got {shown(value)}")
    if value < 1:
        raise StudyError(f"must be 'max' or at least 1, got {value}")
    return value


@dataclass(frozen=True, kw_only=True)
class TrialResources(Part):
    """What a trial takes of the machines, and how many trials run at once.

    The shares decide how many trials run side by side, not how many threads a process has. Every
    process of a trial computes with one thread, so that its numbers do not depend on the machine:
    more than one core is for tasks whose code starts processes or threads of its own.
    """

    cpus: StrictFloat = 1.0
    """Cores per node actor of a trial: whole, or a fraction below 1 of which several share one."""
    gpus: StrictFloat | Literal["auto"] = 0.0
    """GPUs per node actor of a trial, likewise; 0 for none, auto for such a share of what there is
    that all slots fit."""
    slots: Annotated[
        int | Literal["max"],
        PlainValidator(_slots),
        WithJsonSchema({"anyOf": [{"const": "max"}, {"type": "integer", "minimum": 1}]}),
    ] = "max"
    """Trials at once: max for as many as fit, or a number."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_share("cpus", self.cpus)
        if self.gpus != "auto" and self.gpus:
            _check_share("gpus", self.gpus)
        return self


def _check_share(place: str, value: float) -> None:
    if value < SMALLEST:
        least = "0 or at least" if place == "gpus" else "at least"
        raise StudyError(f"must be {least} {SMALLEST:g}, got {value:g}", place=place)
    if value > 1.0 and value != int(value):
        raise StudyError(
            f"above 1 must be whole, got {value:g}; take {int(value)} or {int(value) + 1}",
            place=place,
        )
