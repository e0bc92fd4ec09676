"""Functions that sweep a task from Python, and a sweep as tables, figures and students."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from pydantic import TypeAdapter

from analysis.best import Budget, find_best
from analysis.frames import SweepFrames
from analysis.fronts import front_trials
from analysis.plots.front import front_figure
from analysis.plots.stairs import Pair
from analysis.stats import Interval
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import KDTask
from search_spaces.domains import Choice, Float, Int
from search_spaces.objectives import Constraint, Objective
from search_spaces.study import Study, parse_study
from search_spaces.study_yaml import dump_yaml
from sweeps.cli.export import run_export
from sweeps.cli.sweeps import find_sweep, free_name, sweep_frames
from sweeps.common.capacity import ResourceRequest
from sweeps.common.curves import read as read_curves
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.plan.contract import broken_laws
from sweeps.progress.listener import SilentDisplay
from sweeps.progress.terminal import console_display

Task = str | KDTask | type[KDTask]
"""A task: its class, an instance, a name such as ``"csi-feedback"``, or ``"module:Class"``."""

ROOM = 1.1
"""A reference point of the hypervolume lies this far beyond the worst value that is known."""


def check(task: Task, cache_dir: str | Path, **parameters: Any) -> list[str]:
    """Return what a task breaks of its contract, one sentence each; empty if it keeps it.

    Args:
        task: The task.
        cache_dir: A folder, for what is slow to make.
        **parameters: Those of a trial that is trained in seconds.

    Raises:
        ConfigError: If there is no such task, or it takes no such parameters.
    """
    return broken_laws(_name_of(task), parameters, Path(cache_dir))


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
    sampler: str = "tpe",
    stopping: str | None = None,
    time: str | None = None,
    name: str | None = None,
    home: str | Path = "runs",
    backend: Literal["ray", "inline"] = "ray",
    slots: int | None = None,
    quiet: bool = False,
) -> "Sweep":
    """Search a task's parameters, repeat the front with new seeds on the test split; return it all.

    Args:
        task: The task.
        space: What is searched, by name of the parameter.
        objectives: Metrics, the first of them that of `Sweep.best`. A name alone takes direction
            and unit from the task; a quality is found without its prefix ``val_``.
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
        UserError: If something is wrong, with the fix, before anything is started.
    """
    fixed = dict(parameters or {})
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
        nullcontext(SilentDisplay())
        if quiet
        else console_display(study, called, sys.stdout, lines=True)
    )
    with shown as display:
        summary = run_study(
            study, name=called, home=place, tracking_uri=None, request=request, display=display
        )
    return Sweep(summary.folder)


def open_sweep(name: str, home: str | Path = "runs") -> "Sweep":
    """Return a sweep that was run from Python or from the command line.

    Raises:
        ConfigError: If there is none of that name.
    """
    return Sweep(find_sweep(Path(home), name))


@dataclass(frozen=True)
class Student:
    """A trained student of a sweep.

    Attributes:
        sweep: Folder of its sweep.
        trial: Number of its trial.
        params: Parameters that the search varied.
        values: Objectives and budgeted metrics, on validation.
        test: Objectives on the test split with intervals over the repetitions, if it has any.
    """

    sweep: Path
    trial: int
    params: Mapping[str, Any]
    values: Mapping[str, float]
    test: Mapping[str, Interval]

    def export(self, out: str | Path, *, int8: bool = False) -> Path:
        """Write it as ONNX and safetensors, with a model card; return the folder.

        ONNX Runtime runs the files on the test split, and the card has both scores.

        Args:
            out: The folder.
            int8: Write networks with 8-bit weights, too.
        """
        return run_export(self.sweep, None, self.trial, Path(out), int8=int8).folder


class Sweep:
    """What a sweep has found.

    Args:
        folder: The sweep's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        finished = int((self.trials["state"] == "COMPLETE").sum())
        return f"Sweep({self.folder}: {finished} of {len(self.trials)} trials finished)"

    @cached_property
    def frames(self) -> SweepFrames:
        """The sweep as it was recorded."""
        return sweep_frames(self.folder)

    @property
    def study(self) -> Study:
        """The study that was run."""
        return self.frames.study

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial: ``param.<name>`` per parameter, a column per metric."""
        return self.frames.trials

    @property
    def front(self) -> pd.DataFrame:
        """The trials on the front."""
        return front_trials(self.frames)

    @property
    def confirmations(self) -> pd.DataFrame:
        """A row per repetition with a seed of its own; ``number`` is that of the trial."""
        return self.frames.confirmations

    @property
    def teachers(self) -> pd.DataFrame:
        """A row per teacher."""
        return self.frames.teachers

    @property
    def baselines(self) -> pd.DataFrame:
        """A row per reference that needed no search."""
        return self.frames.baselines

    def curves(self) -> pd.DataFrame:
        """Return what trials reported while they trained: trial, metric, epoch, value."""
        ledger = Ledger.open(SweepFolder(self.folder).journal)
        rows = [
            (trial.number, metric, epoch, value)
            for trial in ledger.trials()
            for metric, points in read_curves(trial.curves).items()
            for epoch, value in points
        ]
        return pd.DataFrame(rows, columns=["trial", "metric", "epoch", "value"])

    def plot_front(self, x: str | None = None, y: str | None = None) -> go.Figure:
        """Return the front of two objectives as a figure; of the last and the first by default."""
        goals = self.study.objectives
        if len(goals) < 2:
            raise ConfigError(f"{self.study.name} has one objective, and a front needs two")
        pair = Pair(x=_goal(goals, x or goals[-1].metric), y=_goal(goals, y or goals[0].metric))
        return front_figure(self.frames, pair)

    def best(
        self,
        max: Mapping[str, float] | None = None,  # noqa: A002 - the word of `kdsweep best`
        min: Mapping[str, float] | None = None,  # noqa: A002
    ) -> Student:
        """Return the student that is best in the first objective within all limits.

        Args:
            max: Most that is allowed, by metric.
            min: Least that is allowed, by metric.

        Raises:
            ResultsError: If nothing is within the limits; it says which must give way by how much.
        """
        most = [Budget(metric=n, limit=limit, side="max") for n, limit in (max or {}).items()]
        least = [Budget(metric=n, limit=limit, side="min") for n, limit in (min or {}).items()]
        budgets = [*most, *least]
        found = find_best(self.frames, budgets).chosen
        return Student(self.folder, found.trial, found.searched, found.values, found.test)


def _name_of(task: Task) -> str:
    if isinstance(task, str):
        return task
    kind = task if isinstance(task, type) else type(task)
    return f"{kind.__module__}:{kind.__qualname__}"


def _study(**raw: Any) -> Study:
    title = raw["task"].rpartition(":")[2]
    slug = "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    return parse_study(dump_yaml({"name": slug, "title": title, **raw}), "kdsweep.sweep")


def _plain(part: Any) -> dict[str, Any]:
    """Return a part of a study as its file has it."""
    found = TypeAdapter(type(part)).dump_python(part, mode="json", by_alias=True)
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

    Of a cost it is that of the dearest student, see `ROOM`; of a quality 0 where more is better.

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


def _goal(goals: Sequence[Objective], metric: str) -> Objective:
    for goal in goals:
        if metric in (goal.metric, goal.label):
            return goal
    raise ConfigError(f"{metric!r} is no objective; there are {', '.join(g.label for g in goals)}")
