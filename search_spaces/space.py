"""The search space: parameters, each with its domain and the condition under which it exists."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Self

from pydantic import ConfigDict, RootModel, model_validator

from search_spaces.domains import Domain, same
from search_spaces.errors import StudyError, choose_from
from search_spaces.fields import Name, Value

if TYPE_CHECKING:
    import numpy as np

Assignment = Mapping[str, Value]
"""Values of some parameters, by name."""


class Space(RootModel[dict[Name, Domain]]):
    """Parameters that are searched, some of them conditional, in the order of the study file.

    Made from a mapping of names to domains.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    @property
    def parameters(self) -> Mapping[str, Domain]:
        """Domains by name of the parameter; may be empty."""
        return self.root

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, domain in self.parameters.items():
            for parent, allowed in domain.when.items():
                _check_condition(self.parameters, f"{name}.when.{parent}", parent, allowed)
        for name in self.names:
            self._check_can_exist(name)
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every parameter in the order of the study file, conditions before what needs them."""
        placed: dict[str, None] = {}
        while len(placed) < len(self.parameters):
            ready = (
                name
                for name, domain in self.parameters.items()
                if name not in placed and placed.keys() >= domain.when.keys()
            )
            following = next(ready, None)
            if following is None:
                stuck = [name for name in self.parameters if name not in placed]
                raise StudyError(
                    f"the conditions of {', '.join(stuck)} form a cycle; drop one 'when'",
                    place=f"{stuck[0]}.when",
                )
            placed[following] = None
        return tuple(placed)

    def active(self, name: str, assignment: Assignment) -> bool:
        """Return whether parameter ``name`` exists, given the values of those before it.

        Raises:
            StudyError: If the space has no such parameter.
        """
        return all(
            parent in assignment
            and any(same(assignment[parent], value) for value in allowed)
            and self.active(parent, assignment)
            for parent, allowed in self._domain(name).when.items()
        )

    def sample(self, rng: "np.random.Generator") -> dict[str, Value]:
        """Draw every parameter that exists, each independently of the others."""
        drawn: dict[str, Value] = {}
        for name in self.names:
            if self.active(name, drawn):
                drawn[name] = self.parameters[name].sample(rng)
        return drawn

    def check(self, params: Assignment) -> None:
        """Check that ``params`` is one whole configuration of this space.

        Raises:
            StudyError: If a name is unknown or missing, a value lies outside its domain, or a
                parameter is set that does not exist beside the others.
        """
        for name in params:
            self._domain(name)
        self.check_point(params)
        for name in self.names:
            if name not in params and self.active(name, params):
                raise StudyError(f"is missing; set it to {self.parameters[name]}", place=name)

    def check_point(self, point: Assignment) -> None:
        """Check a partial configuration; names that the space does not have are ignored.

        Raises:
            StudyError: If a value lies outside its domain, or a parameter is set whose condition
                the other values do not fulfil.
        """
        for name in self.names:
            if name not in point:
                continue
            domain = self.parameters[name]
            if not domain.contains(point[name]):
                raise StudyError(f"must be {domain}, got {point[name]!r}", place=name)
            if not self.active(name, point):
                needs = " and ".join(
                    f"{parent} is one of {list(allowed)}" for parent, allowed in domain.when.items()
                )
                raise StudyError(
                    f"is set to {point[name]!r}, but exists only when {needs}; "
                    "drop it or set those too",
                    place=name,
                )

    def assignments(self, names: Iterable[str]) -> list[dict[str, Value]]:
        """Return every combination of the named parameters that some configuration has.

        A parameter that does not exist in a configuration is absent from its combination.

        Raises:
            StudyError: If a name is unknown or its parameter has too many values to list.
        """
        wanted = set(names)
        found: dict[tuple[tuple[str, type, Value], ...], dict[str, Value]] = {}
        for whole in self._combinations(self._with_ancestors(wanted)):
            part = {name: value for name, value in whole.items() if name in wanted}
            key = tuple((name, type(value), value) for name, value in part.items())
            found.setdefault(key, part)
        return list(found.values())

    def size(self) -> int | None:
        """Return the number of configurations, or None if they cannot be listed."""
        sizes = {name: domain.size() for name, domain in self.parameters.items()}
        if None in sizes.values():
            return None
        parents = {name for domain in self.parameters.values() for name in domain.when}
        branching = self._with_ancestors(parents)
        # Only parameters with conditions on them need to be tried; the others just multiply.
        return sum(
            math.prod(
                sizes[name] or 0
                for name in self.names
                if name not in branching and self.active(name, whole)
            )
            for whole in self._combinations(branching)
        )

    def enumerate(self) -> Iterator[dict[str, Value]]:
        """Yield every configuration once; the last parameter varies fastest.

        Raises:
            StudyError: If a parameter has too many values to list.
        """
        return self._combinations(self.names)

    def _domain(self, name: str) -> Domain:
        if name not in self.parameters:
            raise StudyError(
                f"is not a parameter of the space; {choose_from(name, self.parameters)}",
                place=name,
            )
        return self.parameters[name]

    def _with_ancestors(self, wanted: Iterable[str]) -> list[str]:
        needed: set[str] = set()
        waiting = list(wanted)
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting.extend(self._domain(name).when)
        return [name for name in self.names if name in needed]

    def _combinations(self, names: Iterable[str]) -> Iterator[dict[str, Value]]:
        # `names` is closed under conditions and in the order of `self.names`.
        tables: list[tuple[str, tuple[Value, ...]]] = []
        for name in names:
            values = self.parameters[name].values()
            if values is None:
                raise StudyError(
                    "has too many values to list them; use type choice, or int with fewer values",
                    place=name,
                )
            tables.append((name, values))
        return _expand({}, tables, self.active)

    def _check_can_exist(self, name: str) -> None:
        # A parameter exists only if all its ancestors do, and conditions are conjunctions; so it
        # can exist exactly if the conditions on each ancestor leave that ancestor some value.
        left: dict[str, tuple[Value, ...]] = {}
        for child in self._with_ancestors([name]):
            for parent, allowed in self.parameters[child].when.items():
                before = left.get(parent, allowed)
                left[parent] = tuple(v for v in before if any(same(v, a) for a in allowed))
                if not left[parent]:
                    raise StudyError(
                        f"can never exist: no value of {parent!r} fulfils all conditions, its own "
                        "and those of the parameters it depends on; widen one 'when'",
                        place=name,
                    )


def _expand(
    chosen: dict[str, Value],
    tables: list[tuple[str, tuple[Value, ...]]],
    active: Callable[[str, Assignment], bool],
) -> Iterator[dict[str, Value]]:
    if not tables:
        yield dict(chosen)
        return
    (name, values), rest = tables[0], tables[1:]
    if not active(name, chosen):
        yield from _expand(chosen, rest, active)
        return
    for value in values:
        yield from _expand({**chosen, name: value}, rest, active)


def _check_condition(
    parameters: Mapping[str, Domain], place: str, parent: str, allowed: tuple[Value, ...]
) -> None:
    if parent not in parameters:
        raise StudyError(
            f"{parent!r} is not a parameter of the space; {choose_from(parent, parameters)}",
            place=place,
        )
    domain = parameters[parent]
    if domain.size() is None:
        raise StudyError(
            f"{parent!r} has too many values to depend on; make it a choice, or an int with fewer",
            place=place,
        )
    for value in allowed:
        if not domain.contains(value):
            _check_spelling(parameters, parent, value)
            raise StudyError(
                f"{value!r} is not a value of {parent!r}, which is {domain}", place=place
            )


def _check_spelling(parameters: Mapping[str, Domain], parent: str, value: Value) -> None:
    """Refuse a value of a parameter that more conditions spell in another way than in its own."""
    options = [str(option) for option in parameters[parent].values() or ()]
    named = [v for domain in parameters.values() for v in domain.when.get(parent, ())]
    for near in get_close_matches(str(value), options, n=1):
        if named.count(value) > named.count(near) + 1:
            raise StudyError(
                f"is {near!r}, but the conditions of other parameters name {value!r}; write both "
                "alike",
                place=f"{parent}.values.{options.index(near)}",
            )
