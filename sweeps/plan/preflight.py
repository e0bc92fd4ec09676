"""Checks of a study before anything starts, so that one that cannot run fails in seconds."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from kdtasks.contract.deployment import NETWORK_METRICS
from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.near_names import did_you_mean
from kdtasks.contract.params import Params
from kdtasks.contract.registry import load_task
from kdtasks.contract.task import KDTask
from kdtasks.network.task import NetworkTask
from kdtasks.network.whole import WORST_SHARE
from search_spaces.domains import same
from search_spaces.study import Study
from sweeps.common.returned_values import wrong_name
from sweeps.plan.field_errors import check_capabilities, completed, point_place, written
from sweeps.plan.needs import (
    TEACHER_SEED,
    Need,
    by_teacher,
    drawn_needs,
    find_needs,
    need_of,
    task_params,
    with_teacher,
)

MAX_LISTED = 512
"""Largest space whose configurations are all checked."""


def check_feasible(study: Study, task: KDTask) -> None:
    """Check that some configuration satisfies each bound on costs.

    Larger and infinite spaces pass: the cost of their trials is unknown.

    Raises:
        StudyError: If no trial can satisfy a bound; it names the best value.
    """
    if not study.constraints:
        return
    costs = [_cost(study, task, searched) for searched in _everything(study)]
    for index, bound in enumerate(study.constraints):
        values = [cost.get(bound.metric) for cost in costs if cost]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            continue
        best = min(known, key=bound.violation)
        if bound.violation(best) > 0.0:
            side, where, limit = "min", "below", bound.min
            if bound.max is not None and best > bound.max:
                side, where, limit = "max", "above", bound.max
            raise study.error(
                f"constraints.{index}.{side}",
                f"{bound.metric} is {best:g} at best, in all {len(known)} configurations "
                f"{where} {side} = {limit:g}; change the bound or the space",
            )


def _cost(study: Study, task: KDTask, searched: Params) -> Mapping[str, float]:
    try:
        return task.cost(task.complete(task_params(study, searched)))
    except ConfigError:
        return {}  # rejected configurations do not count


def _everything(study: Study) -> Iterator[Params]:
    """Yield every possible configuration; nothing if there are too many."""
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


OF_ENGINE = "trial_"
"""Prefix of metrics that the engine measures itself."""

DRAWS = 64
"""Number of random configurations that the task completes before the first trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The plan of a study that can run.

    Attributes:
        needs: The data and teachers of its trials.
        drawn: Of repetitions with other teachers than their trials; not all are needed.
    """

    task: KDTask
    needs: tuple[Need, ...]
    drawn: tuple[Need, ...] = ()


def check_study(study: Study) -> Plan:
    """Check a study against its task and return its plan.

    Raises:
        StudyError: Names the field of the study, the value and the fix.
        ConfigError: If the task breaks its contract.
    """
    try:
        task = load_task(study.task)
    except ConfigError as error:
        raise study.error("task", str(error)) from error
    _check_metrics(study, task)
    if study.report.claims and study.effort is None:
        raise study.error(
            "effort",
            "is missing, but the report makes claims, which hold for one effort alone; add effort: "
            "as-published, plateau or {gflop: N}",
        )
    try:
        needs = find_needs(study, task)
    except (ConfigError, DataError) as error:
        raise study.error(_named_in(study, str(error)), str(error)) from error
    _check_teachers(task, needs)
    known = {(need.scenario, need.teacher) for need in needs}
    for place, searched in _shown(study):
        config = completed(study, task, place, searched)
        need = need_of(task, config)
        if (need.scenario, need.teacher) not in known:
            raise ConfigError(
                f"study {study.name}: {place}: data or teacher of {dict(searched)} do not "
                f"follow from the parameters {sorted(task.resource_parameters)}, which task "
                f"{task.name} names as those that decide them; extend its resource_parameters"
            )
        _check_repetitions(study, task, need)
    for need in needs:
        searched = {name: need.params[name] for name in study.space.names if name in need.params}
        check_capabilities(study, task, "space", searched, need.params)
    _check_stopping(study, task, config)
    check_feasible(study, task)
    _check_draws(study, task, needs)
    if study.search.sampler == "points":
        needs = find_needs(study, task, reached=True)
    return Plan(task=task, needs=needs, drawn=drawn_needs(study, task, needs))


def _named_in(study: Study, message: str) -> str:
    """Return the field of the first parameter that an error of a task names; else its task."""
    fields = {name: f"space.{name}" for name in study.space.names}
    fields |= {name: f"parameters.{name}" for name in study.parameters}
    found = (fields[word] for word in re.findall(r"[\w/-]*\w", message) if word in fields)
    return next(found, "task")


def _check_draws(study: Study, task: KDTask, needs: Sequence[Need]) -> None:
    """Check that another teacher can be drawn for every trial that has one."""
    count, taught = study.confirm.teachers, by_teacher(needs).values()
    if count == 1 or study.confirm.select == "none":
        return
    problem = "" if taught else "no trial has a teacher"
    for need in taught:
        if TEACHER_SEED not in need.params:
            problem = f"teacher {need.teacher} of task {task.name} has no parameter {TEACHER_SEED}"
        else:
            other = need_of(task, with_teacher(task, need.params, 1))
            if other.teacher == need.teacher or other.scenario != need.scenario:
                problem = f"{TEACHER_SEED} of task {task.name} does not change the teacher alone"
    if problem:
        raise study.error("confirm.teachers", f"is {count}, but {problem}; set it to 1")


def _check_teachers(task: KDTask, needs: Sequence[Need]) -> None:
    """Check that each teacher is used only on the data that it was trained on."""
    first: dict[str | None, Need] = {}
    for need in needs if task.teacher_splits else ():
        other = first.setdefault(need.teacher, need)
        if need.teacher is not None and need.scenario != other.scenario:
            differing = [n for n, v in need.deciding.items() if other.deciding.get(n) != v]
            raise ConfigError(
                f"task {task.name}: teacher_fingerprint is {need.teacher} on two sets of data "
                f"(another {' or '.join(differing)}); let it contain scenario_fingerprint(params), "
                "or set teacher_splits = () if teachers have data of their own"
            )


def _check_repetitions(study: Study, task: KDTask, need: Need) -> None:
    for seed in study.seeds.confirm:
        repeated = need_of(task, task.complete({**need.params, "seed": seed}))
        if (repeated.scenario, repeated.teacher) != (need.scenario, need.teacher):
            raise ConfigError(
                f"task {task.name}: data or teacher change with the parameter seed, so no trial "
                "can be repeated on the same data; let them depend on teacher_seed instead"
            )


def _check_stopping(study: Study, task: KDTask, config: Params) -> None:
    """Check that trials can be compared before their end.

    They are by ``cost``, validation metrics and, in a network, what the deployment has cost so far.
    """
    if study.stopping is None:
        return
    if isinstance(task, NetworkTask):
        raise study.error(
            "stopping",
            "the tasks of a network are deployed one after the other, so trials cannot be compared "
            "before their end; drop it",
        )
    cost = task.cost(config)
    known = {*cost, *(NETWORK_METRICS if config.get("topology", "none") != "none" else ())}
    for objective in study.objectives:
        if objective.metric not in known and not objective.metric.startswith("val_"):
            raise study.error(
                "stopping",
                f"{objective.metric} is known only at the end of a training, so trials cannot be "
                "compared before; drop stopping or this objective",
            )
    if all(objective.metric in cost for objective in study.objectives):
        raise study.error("stopping", "every objective is known before training; drop it")


def _shown(study: Study) -> Iterator[tuple[str, Params]]:
    for index, point in enumerate(study.search.points):
        yield point_place(study, index), point
    if study.search.sampler == "points":
        return
    rng = np.random.default_rng(study.seeds.search)
    for _ in range(DRAWS):
        yield "space", study.space.sample(rng)


def _check_metrics(study: Study, task: KDTask) -> None:
    for index, constraint in enumerate(study.constraints):
        _check_known(study, task, f"constraints.{index}.metric", constraint.metric)
    for wrong in filter(None, map(wrong_name, task.metrics)):
        raise ConfigError(f"task {task.name}: metrics: {wrong}; rename it")
    _check_report(study, task)
    for index, objective in enumerate(study.objectives):
        place = f"objectives.{index}"
        _check_known(study, task, f"{place}.metric", objective.metric)
        info = task.metrics[objective.metric]
        _check_same(study, task, f"{place}.direction", objective.direction, info.direction)
        _check_same(study, task, f"{place}.unit", objective.unit, info.unit)


def _check_same(study: Study, task: KDTask, place: str, given: str, real: str) -> None:
    """Check the direction or the unit of a metric."""
    if given != real:
        field = place.rpartition(".")[2]
        raise study.error(
            place,
            f"is {given!r}, but {real!r} in task {task.name}: write {field}: {written(real)}",
        )


def _check_report(study: Study, task: KDTask) -> None:
    given = [
        (f"report.tables.{number}.columns.{index}.metric", column.metric)
        for number, table in enumerate(study.report.tables)
        for index, column in enumerate(table.columns)
    ]
    claims = [(f"report.claims.{index}", claim) for index, claim in enumerate(study.report.claims)]
    given += [(f"{place}.metric", claim.metric) for place, claim in claims]
    for place, metric in given:
        if not metric.startswith(OF_ENGINE):
            _check_known(study, task, place, on_validation(metric))
    directions = {objective.metric: objective.direction for objective in study.objectives}
    for place, claim in claims:
        if not claim.metric.startswith(OF_ENGINE):
            metric = on_validation(claim.metric)
            way = claim.direction or directions.get(metric, "minimize")
            _check_same(study, task, f"{place}.direction", way, task.metrics[metric].direction)


def on_validation(metric: str) -> str:
    """Return the name of a metric on the validation split."""
    return metric.replace("test_", "val_", 1)


def _check_known(study: Study, task: KDTask, place: str, metric: str) -> None:
    if metric == f"val_{WORST_SHARE}" and isinstance(task, NetworkTask):
        if not study.parameters.get("own_bests"):
            raise study.error(
                place,
                f"{metric} needs parameters.own_bests: of each of "
                f"{task.name.replace('+', ' and ')} its metric and its best value alone",
            )
    elif metric not in task.metrics:
        own = [name for name in task.metrics if name not in NETWORK_METRICS]
        hint = did_you_mean(metric, task.metrics) or f"; there are {', '.join(sorted(own))}"
        raise study.error(place, f"task {task.name} reports no metric {metric!r}{hint}")
