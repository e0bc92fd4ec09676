"""The front of a sweep: its trials, their kinds, and their test results."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis import layout
from analysis.clusters import Values, clustered_interval, repetitions
from analysis.errors import ResultsError
from analysis.frames import PARAM, SweepFrames
from analysis.knee import Echo, find_echoes, knee
from analysis.ranking import column, objective_values, records, where
from analysis.stats import Interval
from search_spaces.objectives import Objective
from search_spaces.study import Study

_TOPOLOGY = PARAM + layout.TOPOLOGY

VALIDATION = "val_"
TEST = "test_"

COSTS = {
    "ue_params": ("UE parameters", ""),
    "ue_flops": ("UE FLOPs", ""),
    "ue_macs": ("UE MACs", ""),
    "params": ("parameters", ""),
    "macs": ("MACs", ""),
    "model_bytes": ("model", "B"),
    "energy_uj": ("arithmetic", "uJ"),
    "latency_ms": ("latency", "ms"),
    layout.ONNX_LATENCY: ("latency in ONNX", "ms"),
    "payload_bits": ("payload", "bit"),
    "train_core_seconds": ("training", "core s"),
    "edge_bytes": ("over the air per edge", "B"),
    "edge_train_gflop": ("training per edge", "GFLOP"),
    "deployment_s": ("deployment", "s"),
    "raw_samples_up": ("raw samples that left edges", ""),
}
"""Heading and unit of the columns of complexity and cost, where measured, in the front's order."""


def front_trials(frames: SweepFrames) -> pd.DataFrame:
    """Return the trials on the front, the best in the first objective first."""
    trials = frames.feasible
    front = where(trials, (flag is True for flag in trials["front"]))
    objective = frames.study.objectives[0]
    values = column(front, objective.metric)
    best_first = np.argsort(values if objective.direction == "minimize" else -values, kind="stable")
    return front.iloc[best_first]


def knee_trial(frames: SweepFrames) -> int | None:
    """Return the trial at the knee of the front (`analysis.knee.knee`); None without a front."""
    front, goals = front_trials(frames), frames.study.objectives
    if not len(front):
        return None
    index = knee(objective_values(front, frames.study), goals, knee_echoes(frames))
    return int(front.iloc[index]["number"])


def knee_echoes(frames: SweepFrames) -> list[Echo]:
    """Return the costs that the knee leaves out, over all trials that may be on the front."""
    goals = frames.study.objectives
    values = objective_values(frames.feasible, frames.study)
    return find_echoes(values, goals, [not split_label(goal) for goal in goals])


def method_of(row: Mapping[str, Any]) -> str:
    """Return how a trial was trained; ``trial`` where the study has no methods."""
    named = row.get("param.method") or row.get("method")
    return str(named) if named else "trial"


def untaught(row: Mapping[str, Any]) -> bool:
    """Return whether a trial trained without a teacher, whatever its method."""
    return row.get("taught") is False


def of_methods(frames: SweepFrames, methods: Collection[str]) -> SweepFrames:
    """Return a sweep with the trials of some methods alone.

    Raises:
        ResultsError: If no finished trial has one of them.
    """
    names = [method_of(row) for row in records(frames.trials)]
    known = sorted({method_of(row) for row in records(frames.feasible)})
    for method in methods:
        if method not in known:
            raise ResultsError(
                f"sweep {frames.name} has no finished trial of method {method!r}; it has some of "
                f"{', '.join(known) or 'none'}"
            )
    trials = where(frames.trials, (name in methods for name in names))
    return replace(frames, trials=trials.reset_index(drop=True))


def topology_of(row: Mapping[str, Any]) -> str:
    """Return a trial's topology; ``none`` if the task has no topologies."""
    return str(row.get(_TOPOLOGY) or "none")


def by_topology(frames: SweepFrames) -> bool:
    """Return whether the trials have more than one topology."""
    rows = frames.trials
    return _TOPOLOGY in rows and int(rows[_TOPOLOGY].fillna("none").nunique()) > 1


def group_of(frames: SweepFrames) -> Callable[[Mapping[str, Any]], str]:
    """Return the function of a trial that sets its colour: topology if several, else method."""
    return topology_of if by_topology(frames) else method_of


def kind_of(row: Mapping[str, Any]) -> str:
    """Return a trial's topology, if it has a network, and method in words."""
    names = [topology_of(row), method_of(row)]
    return ", ".join(names[names[0] == "none" :])


def searched_params(row: Mapping[str, Any], study: Study) -> dict[str, Any]:
    """Return the parameters that the study varies and this trial has, without the method."""
    names = dict.fromkeys([*study.space.names, *(k for p in study.search.points for k in p)])
    assignment: dict[str, Any] = {"method": row.get("method")}
    assignment |= {key.removeprefix(PARAM): v for key, v in row.items() if key.startswith(PARAM)}
    values = {name: assignment.get(name) for name in names if name != "method"}
    # defaults fill in what had no effect
    return {
        name: value
        for name, value in values.items()
        if value is not None
        and (name not in study.space.names or study.space.active(name, assignment))
    }


def test_metric(objective: Objective) -> str | None:
    """Return the test metric that confirms an objective; None if it does not depend on data."""
    if not objective.metric.startswith(VALIDATION):
        return None
    return TEST + objective.metric.removeprefix(VALIDATION)


def split_label(objective: Objective) -> str:
    """Return ``"validation"`` or ``"test"`` by the metric's name; empty for a cost."""
    if objective.metric.startswith(VALIDATION):
        return "validation"
    return "test" if objective.metric.startswith(TEST) else ""


def repeated(frames: SweepFrames, number: int, metric: str) -> Values:
    """Return a metric of the repetitions of a trial that have it."""
    rows = frames.confirmations[frames.confirmations["number"] == number]
    found = zip(repetitions(records(rows), "confirmation"), column(rows, metric), strict=True)
    return {one: float(value) for one, value in found if np.isfinite(value)}


def confirmed(frames: SweepFrames, number: int, metric: str) -> Interval | None:
    """Return mean and interval of a test metric over the seeds of a trial; None without any."""
    values = repeated(frames, number, metric)
    return clustered_interval(values) if values else None


def cost_metrics(frames: SweepFrames) -> list[str]:
    """Return the cost columns that were measured and are not objectives themselves."""
    taken = {objective.metric for objective in frames.study.objectives}
    trials = frames.feasible
    return [n for n in COSTS if n not in taken and np.isfinite(column(trials, n)).any()]
