"""Laws of a task that need no data: of its fields, parameters, fingerprints and costs."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params
from kdtasks.contract.task import KDTask, MetricInfo
from search_spaces.domains import Choice
from search_spaces.study import Study
from sweeps.common.returned_values import fitting, wrong_identity, wrong_name
from sweeps.plan.evidence import Evidence, Finding, UnfitError, as_in_json, tried
from sweeps.plan.laws import Law, changed_params, law, not_finite, of_task, of_trial, with_other
from sweeps.plan.needs import task_params

DRAWS = 256
"""Number of random configurations drawn from a study to cover the values of its choices."""

UNKNOWN = "no_such_parameter"
"""Name of a parameter that no task has."""

CLASS_LAWS: list[Law] = []
"""Laws of a task that do not depend on its parameters."""

PARAMETER_LAWS: list[Law] = []
"""Laws of a task's parameters."""

COST_LAWS: list[Law] = []
"""Laws of a student's costs, which are known before training."""


@law(CLASS_LAWS, of_task)
def metrics_are_described(evidence: Evidence) -> str:
    """Metrics give unit, direction and meaning of every number."""
    metrics = evidence.task.metrics
    wrong = [name for name, info in metrics.items() if not isinstance(info, MetricInfo)]
    return f"{', '.join(wrong)} should be kdtasks.contract.task.MetricInfo" if wrong else ""


@law(CLASS_LAWS, of_task)
def metrics_have_names(evidence: Evidence) -> str:
    """Names of metrics can be recorded in MLflow."""
    return next(filter(None, map(wrong_name, evidence.task.metrics)), "")


@law(CLASS_LAWS, of_task)
def baselines_need_resources(evidence: Evidence) -> str:
    """Baseline_parameters are some of resource_parameters."""
    others = sorted(evidence.task.baseline_parameters - evidence.task.resource_parameters)
    return f"add {', '.join(others)} to resource_parameters" if others else ""


@law(PARAMETER_LAWS, of_trial)
def complete_writes_nothing(evidence: Evidence) -> str:
    """Complete does not modify the given parameters."""
    given = dict(evidence.given)
    evidence.task.complete(given)
    changed = given != evidence.given
    return f"it changed {evidence.given} to {given}; work on a copy" if changed else ""


@law(PARAMETER_LAWS, of_trial)
def completed_are_plain(evidence: Evidence) -> str:
    """Completed parameters are numbers, strings or booleans."""
    wrong = {
        n: v for n, v in evidence.config.items() if not isinstance(v, bool | int | float | str)
    }
    return f"{wrong} cannot be written to a study or to MLflow" if wrong else ""


@law(PARAMETER_LAWS, of_trial)
def complete_is_idempotent(evidence: Evidence) -> str:
    """Complete does not change completed parameters."""
    again = tried(
        "complete of completed parameters", partial(evidence.task.complete, evidence.config)
    )
    changed = changed_params(evidence.config, again)
    return f"completed once more, {changed}" if changed else ""


@law(PARAMETER_LAWS, of_trial)
def complete_knows_no_order(evidence: Evidence) -> str:
    """Complete does not depend on the order of parameters, or on those that it drops."""
    kept = {n: v for n, v in evidence.given.items() if n in evidence.config}
    orders = {"in reverse": reversed(evidence.given.items()), "without dropped ones": kept.items()}
    for what, given in orders.items():
        again = evidence.task.complete(dict(given))
        if changed := changed_params(evidence.config, again):
            return f"{what}, {changed}"
    return ""


@law(PARAMETER_LAWS, of_trial)
def complete_refuses_unknown(evidence: Evidence) -> str:
    """Complete rejects unknown parameters."""
    try:
        evidence.task.complete({UNKNOWN: 1})
    except ConfigError as error:
        return "" if UNKNOWN in str(error) else f"the error does not name it: {error}"
    except Exception as error:  # noqa: BLE001 - any other error breaks the law
        return f"raise kdtasks.contract.errors.ConfigError, not {type(error).__name__}"
    return f"{UNKNOWN}=1 was accepted, so a typo in a study would have no effect"


def _identities(task: KDTask) -> dict[str, Callable[[Params], str | None]]:
    return {
        "scenario_fingerprint": task.scenario_fingerprint,
        "teacher_fingerprint": task.teacher_fingerprint,
    }


def _is_stable(evidence: Evidence, name: str) -> str:
    identity = _identities(evidence.task)[name]

    def identified() -> str | None:
        found = identity(evidence.config)
        optional = found is None and name == "teacher_fingerprint"
        return found if optional else fitting(name, found, wrong_identity)

    one, other = tried(name, identified), identity(as_in_json(evidence.config))
    differ = f"it is {one} and {other}; use kdtasks.contract.params.fingerprint"
    return "" if one == other else differ


def _follows_seed(evidence: Evidence, name: str) -> str:
    identity = _identities(evidence.task)[name]
    same = identity(evidence.reseeded()) == identity(evidence.config)
    fix = "a trial could not be repeated on the same data; let it depend on teacher_seed"
    return "" if same else fix


def _for_both(name: str, sentence: str, broken: Callable[..., str]) -> None:
    for what in ("scenario_fingerprint", "teacher_fingerprint"):
        about = partial(broken, name=what)
        PARAMETER_LAWS.append(Law(f"{what}_{name}", f"{what} {sentence}", about, of_trial))


_for_both("is_stable", "is the same for the same parameters", _is_stable)
_for_both("ignores_seed", "does not depend on seed", _follows_seed)


@law(PARAMETER_LAWS, of_trial)
def resources_are_declared(evidence: Evidence) -> str:
    """Data and teacher depend only on parameters in resource_parameters."""
    task, config = evidence.task, evidence.config
    free = [name for name in config if name not in task.resource_parameters]
    changed = {name: with_other(task, config, name) for name in free}
    return moved_by(task, config, {name: one for name, one in changed.items() if one is not None})


def moved_by(task: KDTask, config: Params, changed: Mapping[str, Params]) -> str:
    """Return which of the ``changed`` parameters changes data or teacher; empty if none."""
    found = [
        f"{what} changes with {name}; add it to resource_parameters"
        for name, other in changed.items()
        for what, identity in _identities(task).items()
        if identity(other) != identity(config)
    ]
    return found[0] if found else ""


@law(COST_LAWS, of_trial)
def cost_is_finite(evidence: Evidence) -> str:
    """Cost returns finite numbers."""
    return not_finite(tried("cost", partial(evidence.task.cost, evidence.config)))


@law(COST_LAWS, of_trial)
def cost_is_counted(evidence: Evidence) -> str:
    """Equal parameters have equal cost."""
    if cost_is_finite(evidence):
        return ""  # reported already
    task, config = evidence.task, evidence.config
    cost = task.cost(config)
    task.cost(evidence.reseeded())
    for when, computing in (("computed again", task), ("computed by a new task", type(task)())):
        again = computing.cost(as_in_json(config))
        changed = [name for name in {**cost, **again} if cost.get(name) != again.get(name)]
        if changed:
            shown = f"{changed[0]} is {again.get(changed[0])} and was {cost.get(changed[0])}"
            return f"{when}, {shown}; count instead of measuring"
    return ""


def scale_law(study: Study, task: KDTask) -> Finding:
    """Check that costs which are objectives on a logarithmic scale are not negative.

    Covers every value of a choice in points or random draws of the study.
    """
    try:
        return _scale_law(study, task)
    except UnfitError as error:
        return error.finding


def _scale_law(study: Study, task: KDTask) -> Finding:
    rng = np.random.default_rng(study.seeds.search)
    draws = 0 if study.search.sampler == "points" else DRAWS
    drawn = [study.space.sample(rng) for _ in range(draws)]
    seen: set[tuple[str, object]] = set()
    zeros, broken = set[str](), ""
    for searched in [*study.search.points, *drawn]:
        domains = {n: study.space.parameters[n] for n in searched if n in study.space.names}
        fresh = {(n, searched[n]) for n, domain in domains.items() if isinstance(domain, Choice)}
        if fresh <= seen and (seen or not study.space.names):
            continue
        seen |= fresh
        params = task_params(study, searched)
        cost = tried(f"cost with {dict(searched)}", partial(_cost, task, params))
        for goal in study.objectives:
            value = cost.get(goal.metric, 1.0)
            if goal.scale == "log" and value < 0.0:
                broken = f"{goal.metric} is {value:g} with {dict(searched)}"
            if goal.scale == "log" and value == 0.0:
                zeros.add(f"{goal.metric} is 0 with {dict(searched)}, placed at {goal.floor:g}")
    shown = f" ({'; '.join(sorted(zeros)[:3])})" if zeros else ""
    return Finding(
        f"objectives on a logarithmic scale are positive, or 0 at its end{shown}", broken
    )


def _cost(task: KDTask, params: Params) -> Mapping[str, float]:
    return task.cost(task.complete(params))
