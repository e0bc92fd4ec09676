"""A sweep as tables, figures and students."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.best import Budget, find_best
from analysis.frames import SweepFrames
from analysis.fronts import front_trials
from analysis.importance import importances
from analysis.plots.front import front_figure
from analysis.plots.importance import importance_figure
from analysis.plots.parallel import parallel_figure
from analysis.plots.progress import history_figure, hypervolume_figure
from analysis.plots.stairs import Pair
from analysis.plots.theme import axis, styled
from analysis.stats import Interval
from kdtasks.contract.errors import ConfigError
from search_spaces.objectives import Objective
from search_spaces.study import Study
from sweeps.cli.sweeps import find_sweep
from sweeps.common.curves import read as read_curves
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.tracking.read import sweep_frames

HEIGHT_PX = 340


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

        Example:
            ``result.best(max={"macs": 2000}).export("student")`` writes ``student/student.onnx``.

        Args:
            out: The folder.
            int8: Write networks with 8-bit weights, too.

        Raises:
            UserError: If the task does not say how its students are deployed, or the files do not
                reproduce the student.
        """
        from sweeps.cli.export import run_export  # ONNX takes a second to import

        return run_export(self.sweep, None, self.trial, Path(out), int8=int8).folder


class Sweep:
    """What a sweep has found; `kdsweep.sweep` and `kdsweep.open_sweep` return it.

    Tables are pandas DataFrames, figures are plotly's: they show themselves in a notebook, and
    ``figure.write_html("front.html")`` keeps them. All is read once; open the sweep again to see
    what a running one has found since.

    Example:
        >>> found = kd.open_sweep("modulation")
        >>> found.front[["number", "param.width", "val_accuracy", "macs"]]
        >>> found.confirmations.groupby("number")["test_accuracy"].agg(["mean", "std"])
        >>> found.plot_front("macs", "accuracy")
        >>> found.best(max={"params": 1000}).export("student")

    Args:
        folder: The sweep's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        finished = int((self.trials["state"] == "COMPLETE").sum())
        return f"Sweep({self.folder}: {finished} of {len(self.trials)} trials finished)"

    # --- tables -------------------------------------------------------------------------------

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
        """A row per trial: ``number``, ``state``, ``param.<name>``, and a column per metric.

        ``state`` is ``COMPLETE``, ``PRUNED`` or ``FAIL``, and ``reason`` says why in the last case.
        """
        return self.frames.trials

    @property
    def front(self) -> pd.DataFrame:
        """The finished trials that no other beats in all objectives; the columns of `trials`."""
        return front_trials(self.frames)

    @property
    def confirmations(self) -> pd.DataFrame:
        """A row per repetition with a seed of its own: ``number`` of its trial, ``test_<metric>``.

        These are the numbers to publish: no trial was chosen by its score on the test split.
        """
        return self.frames.confirmations

    @property
    def teachers(self) -> pd.DataFrame:
        """A row per teacher, with its metrics on validation and test split."""
        return self.frames.teachers

    @property
    def baselines(self) -> pd.DataFrame:
        """A row per reference that needed no search, such as the majority class."""
        return self.frames.baselines

    def curves(self) -> pd.DataFrame:
        """Return what trials reported while they trained: trial, metric, epoch, value.

        Example:
            ``found.curves().query("metric == 'val_accuracy'").pivot(index="epoch",
            columns="trial", values="value")`` has a column per trial.
        """
        ledger = Ledger.open(SweepFolder(self.folder).journal)
        rows = [
            (trial.number, metric, epoch, value)
            for trial in ledger.trials()
            for metric, points in read_curves(trial.curves).items()
            for epoch, value in points
        ]
        return pd.DataFrame(rows, columns=["trial", "metric", "epoch", "value"])

    # --- figures ------------------------------------------------------------------------------

    def plot_front(self, x: str | None = None, y: str | None = None) -> go.Figure:
        """Return two objectives of all trials, the front, and what repetitions gave on test.

        Args:
            x: An objective, by metric or label; the last by default.
            y: Another one; the first by default.

        Raises:
            ConfigError: If one of them is no objective, or there is only one.
        """
        goals = self.study.objectives
        if len(goals) < 2:
            raise ConfigError(
                f"{self.study.name} has one objective, and a front needs two; see plot_progress"
            )
        pair = Pair(x=_goal(goals, x or goals[-1].metric), y=_goal(goals, y or goals[0].metric))
        return front_figure(self.frames, pair)

    def plot_progress(self) -> go.Figure:
        """Return the hypervolume over finished trials; of one objective the best value so far."""
        drawn = hypervolume_figure if len(self.study.objectives) > 1 else history_figure
        return drawn(self.frames)

    def plot_parameters(self) -> go.Figure:
        """Return all trials as lines from parameter to parameter to objectives."""
        return parallel_figure(self.frames)

    def plot_importance(self) -> go.Figure:
        """Return how much each parameter matters for each objective, by a random forest.

        Raises:
            ConfigError: If that cannot be told, with the reason.
        """
        found = importances(self.frames)
        figure = importance_figure(found)
        if figure is None:
            reasons = "; ".join(f"{one.objective.label}: {one.note}" for one in found)
            raise ConfigError(f"{self.study.name}: no importance of parameters: {reasons}")
        return figure

    def plot_curves(self, metric: str | None = None) -> go.Figure:
        """Return a number that trials reported over their epochs, a line per trial.

        Args:
            metric: One of ``curves()["metric"]``; the first objective by default.

        Raises:
            ConfigError: If no trial has reported it.
        """
        wanted, curves = metric or self.study.objectives[0].metric, self.curves()
        chosen = curves[curves["metric"] == wanted]
        if chosen.empty:
            known = ", ".join(curves["metric"].unique()) or "none"
            raise ConfigError(f"metric={wanted!r} was reported by no trial; there are {known}")
        figure = go.Figure()
        for number, points in chosen.groupby("trial"):
            figure.add_scatter(x=points["epoch"], y=points["value"], name=f"trial {number}")
        figure.update_layout(xaxis=axis("epoch"), yaxis=axis(wanted))
        return styled(figure, height=HEIGHT_PX)

    # --- students -----------------------------------------------------------------------------

    def best(
        self,
        max: Mapping[str, float] | None = None,  # noqa: A002 - the word of `kdsweep best`
        min: Mapping[str, float] | None = None,  # noqa: A002
    ) -> Student:
        """Return the student that is best in the first objective within all limits.

        Example:
            ``found.best(max={"macs": 5000}, min={"accuracy": 80})``.

        Args:
            max: Most that is allowed, by metric.
            min: Least that is allowed, by metric.

        Raises:
            ResultsError: If nothing is within the limits; it says which must give way by how much.
        """
        most = [Budget(metric=n, limit=limit, side="max") for n, limit in (max or {}).items()]
        least = [Budget(metric=n, limit=limit, side="min") for n, limit in (min or {}).items()]
        found = find_best(self.frames, [*most, *least]).chosen
        return Student(self.folder, found.trial, found.searched, found.values, found.test)


def open_sweep(name: str, home: str | Path = "runs") -> Sweep:
    """Return a sweep that was run from Python or from the command line.

    Example:
        ``kd.open_sweep("modulation").front``.

    Args:
        name: Of the sweep.
        home: Folder of all sweeps.

    Raises:
        ConfigError: If there is none of that name.
    """
    return Sweep(find_sweep(Path(home), name))


def _goal(goals: Sequence[Objective], metric: str) -> Objective:
    for goal in goals:
        if metric in (goal.metric, goal.label):
            return goal
    raise ConfigError(f"{metric!r} is no objective; there are {', '.join(g.label for g in goals)}")
