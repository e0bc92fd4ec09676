"""How configurations are proposed."""

import itertools
from collections.abc import Sequence
from typing import Literal, Self, TypeAlias

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from search_spaces.domains import Float
from search_spaces.errors import StudyError
from search_spaces.fields import Multiple, Name, Part, Text, Value
from search_spaces.space import Space

Sampler: TypeAlias = Literal[
    "tpe", "known-cost", "nsga2", "nsga3", "gp", "qmc", "random", "grid", "points"
]

LEARNING: Sequence[Sampler] = ("tpe", "known-cost", "nsga2", "nsga3", "gp")
"""Samplers whose suggestions depend on earlier results."""


@dataclass(frozen=True, kw_only=True)
class Search(Part):
    """How configurations are proposed."""

    sampler: Sampler = "known-cost"
    points: tuple[dict[Name, Multiple], ...] = ()
    """Tried first (sampler `points`: tried only); lists are multiplied out.

    A point may leave out searched parameters, which are then sampled (not with sampler `points`),
    and may set parameters of the task that are not searched. A study has its points without lists.
    """
    warm_start: tuple[Text, ...] = ()
    """Earlier sweeps whose finished trials the sampler learns from: names, or paths of folders."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for index, entry in enumerate(self.warm_start):
            if entry in self.warm_start[:index]:
                raise StudyError(f"lists {entry!r} twice; drop one", place=f"warm_start.{index}")
        if self.warm_start and self.sampler not in LEARNING:
            raise StudyError(
                f"has no effect with sampler {self.sampler!r}, which does not learn from trials; "
                f"drop it, or take {', '.join(LEARNING)}",
                place="warm_start",
            )
        return self

    def check_space(self, space: Space) -> None:
        """Check that the sampler has something to search.

        Raises:
            StudyError: If it does not.
        """
        if self.sampler == "points":
            if not self.points:
                raise StudyError(
                    "is empty, but sampler is 'points'; add some", place="search.points"
                )
        elif not space.parameters:
            raise StudyError(
                f"is empty, but sampler is {self.sampler!r}; add parameters or use sampler: points",
                place="space",
            )
        elif self.sampler == "grid":
            for name, domain in space.parameters.items():
                if domain.size() is None:
                    raise StudyError(
                        "has too many values for sampler 'grid'; make it a choice, "
                        "or an int with fewer, or take another sampler",
                        place=f"space.{name}",
                    )


def multiplied_out(search: Search, space: Space) -> tuple[dict[str, Value], ...]:
    """Return every point with its lists multiplied out, without repetitions.

    Whole numbers given to a real parameter become floats, as a sampler would propose them.

    Raises:
        StudyError: If a value lies outside its domain, a parameter is set that does not exist
            beside the others or, with sampler ``points``, a searched parameter is missing.
    """
    found: dict[tuple[tuple[str, str, Value], ...], dict[str, Value]] = {}
    for index, point in enumerate(search.points):
        lists = [value if isinstance(value, tuple) else (value,) for value in point.values()]
        for values in itertools.product(*lists):
            pairs = zip(point, values, strict=True)
            single = {name: _as_sampled(name, value, space) for name, value in pairs}
            try:
                if search.sampler == "points":
                    space.check({name: single[name] for name in single if name in space.parameters})
                else:
                    space.check_point(single)
            except StudyError as error:
                place = f"search.points.{index}.{error.place}"
                raise StudyError(error.problem, place=place) from error
            key = tuple(sorted((name, type(v).__name__, v) for name, v in single.items()))
            found.setdefault(key, single)
    return tuple(found.values())


def _as_sampled(name: str, value: Value, space: Space) -> Value:
    domain = space.parameters.get(name)
    return float(value) if isinstance(domain, Float) and domain.contains(value) else value
