"""Laws of a task that can be checked without training anything."""

import json
from collections.abc import Callable, Iterator
from functools import partial

from kdtasks.config import Params
from kdtasks.errors import ConfigError
from kdtasks.task import Baseline, KDTask, MetricInfo, ScenarioData
from sweeps.contract_facts import Finding, not_finite, tried
from sweeps.returned import fitting, wrong_baselines, wrong_identity, wrong_params

UNKNOWN = "no_such_parameter"
"""What no task has as a parameter."""


def class_laws(task: KDTask) -> Iterator[Finding]:
    """Yield whether a task's fields say what they must."""
    wrong = [name for name, info in task.metrics.items() if not isinstance(info, MetricInfo)]
    yield Finding(
        "metrics say unit, direction and meaning of every number",
        f"{', '.join(wrong)} should be kdtasks.task.MetricInfo" if wrong else "",
    )
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
    yield Finding("cost gives finite numbers", not_finite(cost))


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
        return f"raise kdtasks.errors.ConfigError, not {type(error).__name__}"
    return f"{UNKNOWN}=1 was taken, so a slip in a study would do nothing"


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
            "" if one == other else f"it is {one} and {other}; take kdtasks.config.fingerprint",
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
