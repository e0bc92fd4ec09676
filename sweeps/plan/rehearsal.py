"""Trials of every kind, tried on the sweep's data before anything is trained."""

from collections.abc import Iterable, Iterator, Mapping

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import KDTask, ScenarioData
from search_spaces.domains import Choice
from search_spaces.study import Study
from sweeps.nodes.task_process import drawing_nothing
from sweeps.plan.needs import Need, need_of, task_params
from sweeps.plan.preflight import Plan


def rehearse(study: Study, plan: Plan, data: Mapping[str, ScenarioData]) -> None:
    """Let the task try trials of every kind, and the smallest and the largest, on a few samples.

    Raises:
        StudyError: If the task's networks, loss, metrics or data do not fit together.
    """
    if type(plan.task).rehearse is KDTask.rehearse:  # tries nothing, so none need be completed
        return
    trials: dict[str, dict[str, Params]] = {key: {} for key in data}
    for need in _tried(study, plan):
        if need.scenario in trials:
            trials[need.scenario].setdefault(fingerprint(need.params), need.params)
    for key, found in trials.items():
        try:
            with drawing_nothing():
                plan.task.rehearse(list(found.values()), data[key])
        except UserError as error:
            raise study.error("task", f"{study.task}: {error}") from error


def _tried(study: Study, plan: Plan) -> Iterator[Need]:
    """Yield trials of every kind, with all that is searched at its lower, then its upper end."""
    points = study.search.points[: study.budget.trials]
    if study.search.sampler == "points":
        needs = [*filter(None, (_end(study, plan, point) for point in points))]
        yield from _kinds(needs)
        for name in dict.fromkeys(name for point in points for name in point):
            sized = [one for one in needs if isinstance(one.params.get(name), int | float)]
            for end in (min, max) if sized else ():
                yield end(sized, key=lambda one: float(one.params[name]))
        return
    decided = [
        {name: need.deciding[name] for name in study.space.names if name in need.deciding}
        for need in plan.needs
    ]
    for last in (False, True):
        ends = (_end(study, plan, given, last=last) for given in (*decided, *points))
        yield from _kinds(filter(None, ends))


def _kinds(needs: Iterable[Need]) -> Iterator[Need]:
    """Yield needs that are the first of their data, teacher or any word.

    Words select code, such as a method.
    """
    seen: set[object] = set()
    for need in needs:
        words = {one for one in need.params.items() if isinstance(one[1], str)}
        if kind := {("", need.scenario), ("", need.teacher), *words} - seen:
            seen |= kind
            yield need


def _end(study: Study, plan: Plan, given: Params, *, last: bool = False) -> Need | None:
    """Return a trial of which some values are given; None if the task knows none."""
    searched: dict[str, Value] = {}
    for name in study.space.names:
        if not study.space.active(name, searched):
            continue
        domain = study.space.parameters[name]
        ends = domain.options if isinstance(domain, Choice) else (domain.low, domain.high)
        searched[name] = given.get(name, ends[-last])
    fixed = {name: value for name, value in given.items() if name not in study.space.names}
    try:
        config = plan.task.complete(task_params(study, {**fixed, **searched}))
    except ConfigError:
        return None
    return need_of(plan.task, config)
