"""How configurations are proposed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search_spaces.domains import Value
from search_spaces.errors import StudyError
from search_spaces.space import Space

Sampler = Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random", "grid", "points"]

LEARNING: Sequence[Sampler] = ("tpe", "nsga2", "nsga3", "gp")
"""Samplers whose suggestions depend on what is known."""


@dataclass(frozen=True)
class Search:
    """How configurations are proposed.

    Attributes:
        sampler: Name of the strategy; ``points`` tries the given points and nothing else.
        points: Tried first, in this order; lists are already multiplied out. A point may leave
            out searched parameters (they are sampled, except with sampler ``points``) and may
            set parameters of the task that are not searched.
        warm_start: Earlier sweeps that the sampler learns from before the first trial: their
            names in the home of the sweep that is run, or the paths of their folders.
    """

    sampler: Sampler
    points: tuple[dict[str, Value], ...] = ()
    warm_start: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for index, entry in enumerate(self.warm_start):
            if entry in self.warm_start[:index]:
                raise StudyError(f"lists {entry!r} twice; drop one", place=f"warm_start.{index}")
        if self.warm_start and self.sampler not in LEARNING:
            raise StudyError(
                f"changes nothing with sampler {self.sampler!r}, which learns from no trial; drop "
                f"it, or take {', '.join(LEARNING)}",
                place="warm_start",
            )


def check_search(search: Search, space: Space) -> None:
    """Check that there is something to search, in a way that the sampler can.

    Raises:
        StudyError: If there is not.
    """
    if search.sampler == "points":
        if not search.points:
            raise StudyError("is empty, but sampler is 'points'; add some", place="search.points")
        return
    if not space.parameters:
        raise StudyError(
            f"is empty, but sampler is {search.sampler!r}; add parameters or use sampler: points",
            place="space",
        )
    if search.sampler == "grid":
        _check_finite(space)


def _check_finite(space: Space) -> None:
    for name, parameter in space.parameters.items():
        if parameter.domain.size() is None:
            raise StudyError(
                "has too many values for sampler 'grid'; make it a choice, "
                "or an int with fewer, or take another sampler",
                place=f"space.{name}",
            )
