"""Laws of a task that can be checked without training anything.

They are about arrays, numbers and reports of any task.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, Baseline, KDTask, MetricInfo, Report, ScenarioData, digest
from search_spaces.domains import Choice
from search_spaces.study import Study
from sweeps.common.events import work_failed
from sweeps.common.records import FailureKind
from sweeps.common.returned_values import (
    fitting,
    wrong_baselines,
    wrong_identity,
    wrong_name,
    wrong_numbers,
    wrong_params,
)
from sweeps.plan.needs import task_params

T = TypeVar("T")

TOLERANCE = 1e-4
"""How far a number may be off when it is computed again, relative and absolute; batches differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a law is kept.

    Attributes:
        law: The law, in one clause.
        broken: What was found instead, and the fix; empty if the law is kept.
        traceback: Where the task raised; empty if it did not.
    """

    law: str
    broken: str = ""
    traceback: str = ""


class UnfitError(Exception):
    """A task cannot be checked further, for the reason in the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.broken)
        self.finding = finding


def tried(what: str, work: Callable[[], T]) -> T:
    """Return what a method returns.

    Raises:
        UnfitError: If it raises.
    """
    try:
        return work()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failed = work_failed(error)
        law, broken = f"{what} does its work", failed.reason
        if failed.kind is FailureKind.CONTRACT:
            law, broken = f"{what} returns what it must", broken.removeprefix(f"{what}: ")
        raise UnfitError(Finding(law, broken, failed.traceback)) from error


def needed(law: str, broken: str) -> Finding:
    """Return that a law is kept without which no other can be tried.

    Raises:
        UnfitError: If it is broken.
    """
    if broken:
        raise UnfitError(Finding(law, broken))
    return Finding(law)


def read_only(arrays: Arrays) -> None:
    """Make arrays read-only, as in Ray's object store: writing to them raises."""
    for array in arrays.values():
        array.setflags(write=False)


def not_finite(metrics: Mapping[str, Any]) -> str:
    """Return which metrics are no finite numbers; empty if all are."""
    if wrong := wrong_numbers(metrics, "what it gives"):
        return wrong
    infinite = [name for name, value in metrics.items() if not math.isfinite(float(value))]
    return "; ".join(f"{name} is {metrics[name]!r}" for name in infinite)


def differing(one: Arrays, other: Arrays) -> str:
    """Return what differs between two trainings that should be the same, bit for bit."""
    if one.keys() != other.keys():
        return f"{sorted(one.keys() ^ other.keys())} are there once only"
    for name in one:
        if digest({name: one[name]}) != digest({name: other[name]}):
            return (
                f"trained twice, {name!r} differs; draw weights, order and all else from "
                "kdtasks.learning.random"
            )
    return ""


def differing_numbers(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    """Return which of the numbers of ``other`` are not in ``one``; empty if all are."""
    for name, value in other.items():
        if name not in one:
            return f"{name} is {value:g}, and training reports no {name}"
        same = math.isclose(one[name], value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        if not (same or (math.isnan(value) and math.isnan(one[name]))):
            return f"{name} is {value:g} and was {one[name]:g}"
    return ""


def wrong_reports(reports: Sequence[Report]) -> str:
    """Return what is wrong with the reports of a training; empty if nothing is."""
    if not reports:
        return "there are none; yield one kdtasks.contract.task.Report per epoch"
    counts = [(report.epoch, report.epochs) for report in reports]
    if counts != [(number, len(reports)) for number in range(1, len(reports) + 1)]:
        shown = ", ".join(f"{epoch} of {epochs}" for epoch, epochs in counts[:4])
        more = "" if len(counts) <= 4 else f", ... {len(counts)} reports"
        return f"they count {shown}{more}; count from 1 to the number of reports"
    return next(
        (f"after epoch {r.epoch}: {w}" for r in reports if (w := not_finite(r.metrics))), ""
    )


DRAWS = 256
"""Random configurations that are drawn from a study to meet the values of its choices."""

UNKNOWN = "no_such_parameter"
"""Name of a parameter that no task has."""


def class_laws(task: KDTask) -> Iterator[Finding]:
    """Yield whether a task's fields are complete."""
    wrong = [name for name, info in task.metrics.items() if not isinstance(info, MetricInfo)]
    yield Finding(
        "metrics give unit, direction and meaning of every number",
        f"{', '.join(wrong)} should be kdtasks.contract.task.MetricInfo" if wrong else "",
    )
    names = filter(None, map(wrong_name, task.metrics))
    yield Finding("names of metrics can be recorded in MLflow", next(names, ""))
    others = sorted(task.baseline_parameters - task.resource_parameters)
    yield Finding(
        "baseline_parameters are some of resource_parameters",
        f"add {', '.join(others)} to resource_parameters" if others else "",
    )


def parameter_laws(task: KDTask, params: Params) -> Iterator[Finding]:
    """Yield whether parameters are completed, refused and identified as they must be."""
    given = dict(params)
    config = tried("complete", lambda: fitting("complete", task.complete(given), wrong_params))
    yield Finding(
        "complete leaves the parameters that it is given as they are",
        f"it made {given} of {dict(params)}; work on a copy" if given != dict(params) else "",
    )
    scalars = (bool, int, float, str)
    wrong = {n: v for n, v in config.items() if not isinstance(v, scalars)}
    yield Finding(
        "completed parameters are numbers, words or truth values",
        f"{wrong} cannot be written to a study or to MLflow" if wrong else "",
    )
    again = tried("complete of completed parameters", lambda: task.complete(config))
    yield Finding(
        "what is complete stays as it is",
        f"completed once more, {_changed(config, again)}" if again != config else "",
    )
    yield Finding("complete refuses a parameter that it does not know", _takes_unknown(task))
    yield from _identity_laws(task, config)
    cost = tried("cost", lambda: task.cost(config))
    broken = not_finite(cost)
    yield Finding("cost gives finite numbers", broken)
    if not broken:
        yield Finding("equal parameters give equal cost", _changing_cost(task, config, cost))


def _changing_cost(task: KDTask, config: Params, cost: Mapping[str, float]) -> str:
    """Return what changes when a cost is computed again, after another one or by a new task."""
    task.cost(task.complete({**config, "seed": int(config.get("seed", 0)) + 1}))
    for when, computing in (("computed again", task), ("computed by a new task", type(task)())):
        again = computing.cost(json.loads(json.dumps(dict(config))))
        changed = [name for name in {**cost, **again} if cost.get(name) != again.get(name)]
        if changed:
            shown = f"{changed[0]} is {again.get(changed[0])} and was {cost.get(changed[0])}"
            return f"{when}, {shown}; count, and measure nothing"
    return ""


def scale_law(study: Study, task: KDTask) -> Finding:
    """Return whether the costs that are objectives on a logarithmic scale have a place on it.

    Checks every value of every choice that a point or a random draw of the study has.
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


def _changed(before: Params, after: Params) -> str:
    names = [n for n in {**before, **after} if before.get(n) != after.get(n)]
    shown = ", ".join(f"{n} is {after.get(n)!r} and was {before.get(n)!r}" for n in names)
    return shown or "it is the same"


def _takes_unknown(task: KDTask) -> str:
    try:
        task.complete({UNKNOWN: 1})
    except ConfigError as error:
        return "" if UNKNOWN in str(error) else f"the error does not name it: {error}"
    except Exception as error:  # noqa: BLE001 - whatever else it raises breaks the law
        return f"raise kdtasks.contract.errors.ConfigError, not {type(error).__name__}"
    return f"{UNKNOWN}=1 was taken, so a typo in a study would have no effect"


def _identity_laws(task: KDTask, config: Params) -> Iterator[Finding]:
    identities: dict[str, Callable[[Params], str | None]] = {
        "scenario_fingerprint": task.scenario_fingerprint,
        "teacher_fingerprint": task.teacher_fingerprint,
    }
    reseeded = task.complete({**config, "seed": int(config.get("seed", 0)) + 1})
    for name, identity in identities.items():
        one = tried(name, partial(_identified, name, identity, config))
        other = identity(json.loads(json.dumps(dict(config))))
        yield Finding(
            f"{name} is the same for the same parameters",
            ""
            if one == other
            else f"it is {one} and {other}; take kdtasks.contract.params.fingerprint",
        )
        yield Finding(
            f"{name} does not depend on seed",
            "a trial could not be repeated on the same data; let it depend on teacher_seed"
            if identity(reseeded) != one
            else "",
        )


def _identified(name: str, identity: Callable[[Params], str | None], config: Params) -> str | None:
    found = identity(config)
    optional = found is None and name == "teacher_fingerprint"
    return found if optional else fitting(name, found, wrong_identity)


def reference_laws(task: KDTask, config: Params, data: ScenarioData) -> Iterator[Finding]:
    """Yield whether baselines and the list of networks are as they must be."""
    judge = partial(task.baselines, config, data)
    found = tried("baselines", lambda: list(fitting("baselines", judge(), wrong_baselines)))
    yield Finding("baselines have names of their own and finite metrics", _wrong_baselines(found))
    rows = tried("models", task.models)
    yield Finding("models describes networks by rows of JSON", _no_rows(rows))


def _wrong_baselines(found: list[Baseline]) -> str:
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"{', '.join(twice)} is there more than once; number them"
    return next(
        (f"{one.name}: {not_finite(one.metrics)}" for one in found if not_finite(one.metrics)), ""
    )


def _no_rows(rows: object) -> str:
    try:
        json.dumps(rows)
    except (TypeError, ValueError) as error:
        return f"{error}; take plain numbers and words"
    good = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    return "" if good else "return a list of dicts, empty if there are none"
