"""Functions that check and sweep a task from Python."""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import time as time_of_day
from typing import Any, Literal

from pydantic import TypeAdapter

from kdsweep.results import Sweep
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.source_code import files_beside
from kdtasks.contract.task import KDTask
from search_spaces.domains import Choice, Float, Int
from search_spaces.objectives import Constraint, Objective
from search_spaces.search import Search
from search_spaces.study import Study, parse_study
from search_spaces.study_yaml import dump_yaml
from sweeps.cli.sweeps import free_name
from sweeps.common.capacity import ResourceRequest
from sweeps.common.custom_code import check_name
from sweeps.plan.contract import broken_laws
from sweeps.progress.events import Display
from sweeps.progress.terminal import console_display

Task = str | KDTask | type[KDTask]
"""A task: its class, an instance, a name such as ``"csi-feedback"``, or ``"module:Class"``."""

ROOM = 1.1
"""A reference point of the hypervolume lies this far beyond the worst value that is known."""


def check(task: Task, cache_dir: str | Path, **parameters: Any) -> list[str]:
    """Return what a task breaks of its contract, one sentence each; empty if it keeps it.

    Example:
        ``assert kd.check(Modulation, "cache", epochs=1, teacher_epochs=1) == []``

    Args:
        task: The task.
        cache_dir: A folder, for what is slow to make; it is made if it is missing.
        **parameters: Those of a trial that is trained in seconds.

    Raises:
        ConfigError: If there is no such task, or it takes no such parameters.
    """
    place = Path(cache_dir)
    place.mkdir(parents=True, exist_ok=True)
    return broken_laws(_name_of(task), parameters, place)


def sweep(  # noqa: PLR0913 - one argument per part of a study
    task: Task,
    *,
    space: Mapping[str, Int | Float | Choice],
    objectives: Sequence[str | Objective],
    trials: int,
    parameters: Mapping[str, Any] | None = None,
    constraints: Sequence[Constraint] = (),
    seeds: Sequence[int] = (101, 102, 103),
    search_seed: int = 0,
    sampler: str = Search().sampler,
    stopping: str | None = None,
    time: str | None = None,
    name: str | None = None,
    home: str | Path = "runs",
    backend: Literal["ray", "inline"] = "ray",
    slots: int | None = None,
    quiet: bool = False,
) -> Sweep:
    """Search a task's parameters, repeat the front with new seeds on the test split; return it all.

    Example:
        >>> kd.sweep(
        ...     Modulation,
        ...     space={"width": kd.Int(2, 24, log=True), "alpha": kd.Float(0.1, 0.9)},
        ...     objectives=["accuracy", "macs"],
        ...     parameters={"epochs": 20},
        ...     trials=8,
        ... ).front

    Args:
        task: The task.
        space: What is searched, by name of the parameter.
        objectives: Metrics, the first of them that of `Sweep.best`. A name alone takes direction,
            unit and the worst value that counts from the task; a quality is found without its
            prefix ``val_``.
        trials: Trials of the search.
        parameters: Parameters that are fixed.
        constraints: Bounds that members of the front keep.
        seeds: Of the repetitions of every member of the front; empty for none.
        search_seed: Of the sampler.
        sampler: As in a study.
        stopping: ``"asha"`` stops trials that fall behind.
        time: Wall time of the search, such as ``"20m"``.
        name: Of the sweep; a free one made of the task's name if None. A sweep of that name is
            resumed.
        home: Folder of all sweeps.
        backend: ``"inline"`` runs trials in this process, one after the other and without Ray:
            breakpoints work. ``"ray"`` runs them in processes of their own, which import the task,
            so its class must be in a file.
        slots: Trials at once; as many as fit if None.
        quiet: Print nothing.

    Raises:
        UserError, StudyError: If something is wrong, with the fix, before anything is started.
    """
    begun_s, fixed = time_of_day(), dict(parameters or {})
    _check_code(task)
    study = _study(
        task=_name_of(task),
        parameters=fixed,
        space={key: _plain(domain) for key, domain in space.items()},
        objectives=[_objective(task, one, fixed, space) for one in objectives],
        constraints=[_plain(one) for one in constraints],
        search={"sampler": sampler},
        budget={"trials": trials, **({"time": time} if time else {})},
        seeds={"search": search_seed, "confirm": list(seeds)},
        confirm={"select": "front" if seeds else "none"},
        **({"stopping": {"kind": stopping}} if stopping else {}),
    )
    from sweeps.run.runner import run_study  # Ray takes a second to import

    place = Path(home)
    called = name or free_name(place, study.name)
    request = ResourceRequest(slots=slots, backend=backend)
    shown = (
        nullcontext(Display()) if quiet else console_display(study, called, sys.stdout, lines=True)
    )
    with shown as display:
        summary = run_study(
            study,
            name=called,
            home=place,
            tracking_uri=None,
            request=request,
            display=display,
            begun_s=begun_s,
        )
    return Sweep(summary.folder)


def _name_of(task: Task) -> str:
    if isinstance(task, str):
        return task
    kind = task if isinstance(task, type) else type(task)
    return f"{kind.__module__}:{kind.__qualname__}"


def _check_code(task: Task) -> None:
    """Check that a class is in a file, and that this process has imported the file as it is now.

    Raises:
        ConfigError: If not, with the fix.
    """
    check_name(_name_of(task), "kdsweep.sweep")
    if isinstance(task, str):
        return
    kind = task if isinstance(task, type) else type(task)
    now, then = files_beside(kind.__module__), kind._file_times
    if late := [file for file, changed in then.items() if now.get(file, changed) != changed]:
        raise ConfigError(
            f"{', '.join(sorted(late))} changed after {kind.__name__} was imported, so a teacher "
            f"of this class would be taken for one of the file: restart, or importlib.reload the "
            f"module, {kind.__module__} last, and import {kind.__name__} again"
        )


def _study(**raw: Any) -> Study:
    title = raw["task"].rpartition(":")[2]
    slug = "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    return parse_study(dump_yaml({"name": slug, "title": title, **raw}), "kdsweep.sweep")


def _plain(part: Any) -> dict[str, Any]:
    """Return a part of a study as its file has it."""
    found = TypeAdapter(type(part)).dump_python(part, by_alias=True)
    return {name: value for name, value in found.items() if value not in (None, {})}


def _objective(
    task: Task, wanted: str | Objective, fixed: Mapping[str, Any], space: Mapping[str, Any]
) -> dict[str, Any]:
    if isinstance(wanted, Objective):
        return _plain(wanted)
    from kdtasks.contract.registry import load_task

    opened = load_task(_name_of(task)) if isinstance(task, str) else task
    found = opened() if isinstance(opened, type) else opened
    metric = wanted if wanted in found.metrics else f"val_{wanted}"
    if metric not in found.metrics:
        known = ", ".join(name for name in found.metrics)
        raise ConfigError(f"objectives: {wanted!r} is no metric of {found.name}; there are {known}")
    info = found.metrics[metric]
    described = {"metric": metric, "direction": info.direction, "unit": info.unit, "label": wanted}
    return {**described, **_reference(found, metric, fixed, space)}


def _reference(
    task: KDTask, metric: str, fixed: Mapping[str, Any], space: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the worst value that counts.

    Of a cost it is that of the dearest student, see `ROOM`; of a quality 0 where more is better,
    and what the task says where less is, see `kdtasks.contract.task.KDTask.worst_values`.

    Raises:
        ConfigError: If it is not known.
    """
    corners = [{**fixed, **{n: _end(d, last=last) for n, d in space.items()}} for last in (0, 1)]
    with_costs = [task.cost(task.complete(_possible(task, one))) for one in corners]
    if all(metric in costs for costs in with_costs):
        most = max(costs[metric] for costs in with_costs)
        return {"reference": ROOM * most or 1.0, "scale": "log"}
    if task.metrics[metric].direction == "maximize":
        return {"reference": 0.0}
    params = task.complete(_possible(task, corners[0]))
    worst = task.worst_values(params).get(metric, math.nan)
    if math.isfinite(worst):
        return {"reference": worst}
    raise ConfigError(
        f"objectives: name the worst value of {metric} that still counts: "
        f"kd.Objective(metric={metric!r}, direction='minimize', reference=...)"
    )


def _possible(task: KDTask, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without those that the task refuses beside the others."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        try:
            task.complete({**found, name: value})
        except ConfigError:
            continue
        found[name] = value
    return found


def _end(domain: Int | Float | Choice, *, last: int) -> Any:
    if isinstance(domain, Choice):
        return domain.options[-1 if last else 0]
    return domain.high if last else domain.low
