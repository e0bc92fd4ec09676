"""Whether a study's bounds can be kept at all, as far as complexity alone decides."""

from collections.abc import Iterator, Mapping
from math import inf

from kdtasks.config import Params
from kdtasks.errors import ConfigError
from kdtasks.task import KDTask
from search_spaces.domains import same
from search_spaces.objectives import Constraint
from search_spaces.study import Study
from sweeps.proposals import task_params

MAX_LISTED = 512
"""Configurations up to which all of a space are looked at."""


def check_feasible(study: Study, task: KDTask) -> None:
    """Check that no bound is broken by every configuration before anything is learnt.

    Larger spaces and those without end pass: what their trials cost is not known before.

    Raises:
        ConfigError: If no trial could keep a bound; it names the best value that there is.
    """
    if not study.constraints:
        return
    costs = [_cost(study, task, searched) for searched in _everything(study)]
    for bound in study.constraints:
        values = [cost.get(bound.metric) for cost in costs if cost]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            continue
        best = min(known, key=bound.violation)
        if bound.violation(best) > 0.0:
            raise ConfigError(
                f"study {study.name}: constraints: {bound.metric} is {best:g} at best, in all "
                f"{len(known)} configurations {_broken(bound, best)}; change the bound or the space"
            )


def _broken(bound: Constraint, best: float) -> str:
    above = bound.max is not None and best > bound.max
    return f"above max = {bound.max:g}" if above else f"below min = {bound.min:g}"


def _cost(study: Study, task: KDTask, searched: Params) -> Mapping[str, float]:
    try:
        return task.cost(task.complete(task_params(study, searched)))
    except ConfigError:
        return {}  # refused, and so no way to keep a bound


def _everything(study: Study) -> Iterator[Params]:
    """Yield every configuration that can be proposed; nothing if they are too many."""
    points = study.search.points
    if study.search.sampler == "points":
        yield from points[: MAX_LISTED if len(points) <= MAX_LISTED else 0]
        return
    if (study.space.size() or inf) > MAX_LISTED:
        return
    for whole in study.space.enumerate():
        yield whole
        yield from ({**whole, **point} for point in points if _agree(whole, point, study))


def _agree(whole: Params, point: Params, study: Study) -> bool:
    named = [name for name in point if name in study.space.parameters]
    return all(name in whole and same(whole[name], point[name]) for name in named)
