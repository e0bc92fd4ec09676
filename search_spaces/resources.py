"""What a trial takes of the machines, and how many trials run at once."""

from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import StudyError

SMALLEST = 1e-4
"""The smallest share of a core or a GPU that Ray counts."""


@dataclass(frozen=True, kw_only=True)
class TrialResources:
    """What a trial takes of the machines.

    The shares are booked, which decides on how many trials run side by side; how many threads a
    process has does not follow from them. Every process of a trial computes with one thread, so
    that its numbers do not depend on the machine: more than one core is for tasks whose code starts
    processes or threads of its own.

    Attributes:
        cpus: Cores for each node actor of a trial, or for its process with transport inprocess:
            a whole number, or a fraction below 1 of which several share a core.
        gpus: GPUs for each of these likewise; 0 for none.
        slots: Trials at once; "max" for as many as fit.

    Raises:
        StudyError: If a share can be no one's.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    slots: int | Literal["max"] = "max"

    def __post_init__(self) -> None:
        _check_share("cpus", self.cpus)
        if self.gpus != 0.0:
            _check_share("gpus", self.gpus)
        if self.slots != "max" and self.slots < 1:
            raise StudyError(f"must be 'max' or at least 1, got {self.slots}", place="slots")


def _check_share(place: str, value: float) -> None:
    if value < SMALLEST:
        least = "0 or at least" if place == "gpus" else "at least"
        raise StudyError(f"must be {least} {SMALLEST:g}, got {value:g}", place=place)
    if value > 1.0 and value != int(value):
        raise StudyError(
            f"above 1 must be whole, got {value:g}; take {int(value)} or {int(value) + 1}",
            place=place,
        )
