"""From the checked shape of a study file to the parts of a study."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from search_spaces.domains import Choice, Domain, Float, Int, Value
from search_spaces.errors import StudyError
from search_spaces.objectives import Constraint, Objective
from search_spaces.report_spec import FEWEST_ROWS, Aspect, Claim, Column, ReportSpec, Row, Table
from search_spaces.resources import TrialResources
from search_spaces.search import Search
from search_spaces.space import Parameter, Space
from search_spaces.stopping import Stopping
from search_spaces.study_schema import (
    AspectDoor,
    ChoiceDoor,
    ClaimDoor,
    ConstraintDoor,
    DomainDoor,
    FloatDoor,
    IntDoor,
    ObjectiveDoor,
    ReportDoor,
    ResourcesDoor,
    SearchDoor,
    StoppingDoor,
    TableDoor,
)

Door = TypeVar("Door")
Part = TypeVar("Part")


def at(place: str, make: Callable[[], Part]) -> Part:
    """Return what ``make`` returns; its errors get ``place`` put in front of theirs."""
    try:
        return make()
    except StudyError as error:
        raise error.inside(place) from error


def each(place: str, make: Callable[[Door], Part], doors: Iterable[Door]) -> tuple[Part, ...]:
    """Make one part of each element of a list; errors name the element's index."""
    return tuple(at(f"{place}.{index}", partial(make, door)) for index, door in enumerate(doors))


def _domain(door: FloatDoor | IntDoor | ChoiceDoor) -> Domain:
    if isinstance(door, FloatDoor):
        return Float(door.low, door.high, log=door.log)
    if isinstance(door, IntDoor):
        return Int(door.low, door.high, log=door.log, step=door.step)
    return Choice(tuple(door.values))


def make_space(doors: Mapping[str, DomainDoor]) -> Space:
    """Return the search space; its places start with ``space``."""
    parameters = {
        name: Parameter(
            at(f"space.{name}", partial(_domain, door)),
            {parent: tuple(allowed) for parent, allowed in door.when.items()},
        )
        for name, door in doors.items()
    }
    return at("space", lambda: Space(parameters))


def make_objective(door: ObjectiveDoor) -> Objective:
    """Return one objective; it is labelled by its metric unless a label is given."""
    return Objective(
        metric=door.metric,
        direction=door.direction,
        unit=door.unit,
        reference=door.reference,
        label=door.label or door.metric,
        scale=door.scale,
        tolerance=door.tolerance,
    )


def make_constraint(door: ConstraintDoor) -> Constraint:
    """Return one constraint."""
    return Constraint(door.metric, max=door.max, min=door.min)


def make_search(door: SearchDoor, points: tuple[dict[str, Value], ...]) -> Search:
    """Return how configurations are proposed.

    Args:
        door: As written in the study file.
        points: Its points, multiplied out.
    """
    return at("search", lambda: Search(door.sampler, points, tuple(door.warm_start)))


def make_resources(door: ResourcesDoor) -> TrialResources:
    """Return what a trial takes of the machines."""
    return at("resources", lambda: TrialResources(**door.model_dump()))


def make_stopping(door: StoppingDoor | None) -> Stopping | None:
    """Return which trials are stopped early; None if none are."""
    if door is None:
        return None
    given = {**door.model_dump(), "keep": tuple(door.keep)}
    return at("stopping", lambda: Stopping(**given))


def expand_points(
    points: Iterable[Mapping[str, list[Value]]], space: Space, *, whole: bool
) -> tuple[dict[str, Value], ...]:
    """Return every point with its lists multiplied out, without repetitions.

    Whole numbers given to a real parameter become floats, as a sampler would propose them.

    Args:
        points: As written in the study file.
        space: Parameters that are searched; a point may also set other parameters of the task.
        whole: Every point must set every searched parameter that exists.

    Raises:
        StudyError: If a value lies outside its domain, a parameter is set that does not exist
            beside the others or, with ``whole``, one is missing.
    """
    expanded: dict[tuple[tuple[str, str, Value], ...], dict[str, Value]] = {}
    for index, point in enumerate(points):
        for values in itertools.product(*point.values()):
            single = {
                name: _as_sampled(name, value, space)
                for name, value in zip(point, values, strict=True)
            }
            at(f"search.points.{index}", partial(_check_point, single, space, whole=whole))
            key = tuple(
                sorted((name, type(value).__name__, value) for name, value in single.items())
            )
            expanded.setdefault(key, single)
    return tuple(expanded.values())


def _check_point(point: Mapping[str, Value], space: Space, *, whole: bool) -> None:
    if whole:
        space.check({name: point[name] for name in point if name in space.parameters})
    else:
        space.check_point(point)


def _as_sampled(name: str, value: Value, space: Space) -> Value:
    parameter = space.parameters.get(name)
    if parameter and isinstance(parameter.domain, Float) and parameter.domain.contains(value):
        return float(value)
    return value


def make_report(door: ReportDoor) -> ReportSpec:
    """Return the tables and claims; their places start with ``report``."""
    tables = each("report.tables", _table, door.tables)
    claims = each("report.claims", _claim, door.claims)
    return at("report", lambda: ReportSpec(tables, claims))


def _table(door: TableDoor) -> Table:
    return Table(
        id=door.id,
        title=door.title,
        source=door.source,
        columns=tuple(
            Column(c.metric, c.label or c.metric, c.unit, c.aspect) for c in door.columns
        ),
        rows=tuple(
            Row(r.id, r.label or r.id, r.role, r.match, r.paper, r.words, r.facts)
            for r in door.rows
        ),
        layout=door.layout,
        aspects=each("aspects", _aspect, door.aspects),
    )


def _aspect(door: AspectDoor) -> Aspect:
    return Aspect(door.name, tuple(door.words), tuple(door.metrics), door.factor)


def _claim(door: ClaimDoor) -> Claim:
    given = [(kind, rows) for kind in FEWEST_ROWS if (rows := getattr(door, kind)) is not None]
    if len(given) != 1:
        raise StudyError(
            f"needs exactly one of {', '.join(FEWEST_ROWS)}, got "
            f"{', '.join(kind for kind, _ in given) or 'none'}"
        )
    kind, rows = given[0]
    return Claim(door.id, door.text, door.metric, kind, tuple(rows), door.direction)
