"""The front, and what is near it, as rows of plain data, and what a reader has to know of it."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis import format as text
from analysis.frames import SweepFrames
from analysis.fronts import (
    confirmed,
    cost_metrics,
    front_trials,
    knee_echoes,
    method_of,
    searched_params,
    test_metric,
)
from analysis.pareto import behind_front
from analysis.ranking import objective_values, records
from analysis.repeats import front_chances, near_trials
from search_spaces.objectives import Objective

CHANCE = "front_chance"
BEHIND = "behind"


def front_rows(frames: SweepFrames) -> list[dict[str, Any]]:
    """Return the front as plain rows, the best in the first objective first.

    Returns:
        Per trial: ``trial``, ``method``, ``searched`` (parameters varied and active), one entry per
        objective under its metric's name (``val_`` is validation; ``params`` is one), for each
        validation objective ``test`` by metric with ``mean``, ``half_width`` (None for one seed)
        and ``seeds``, ``front_chance`` (`analysis.repeats.front_chances`; None if it was not
        repeated) and the measured entries of ``COSTS``. JSON scalars, dicts and None only.
    """
    return _rows(frames, front_trials(frames))


def near_rows(frames: SweepFrames) -> list[dict[str, Any]]:
    """Return the trials off the front that were repeated, those nearest to it first.

    Returns:
        Rows as those of ``front_rows`` with ``behind``: how far the trial is behind the front on
        validation, as a share of the front's ranges (`analysis.pareto.behind_front`).
    """
    trials = frames.feasible
    distances = behind_front(objective_values(trials, frames.study), frames.study.objectives)
    behind = dict(zip(map(int, trials["number"]), distances.tolist(), strict=True))
    found = [{**row, BEHIND: behind[row["trial"]]} for row in _rows(frames, near_trials(frames))]
    return sorted(found, key=lambda row: (row[BEHIND], row["trial"]))


def _rows(frames: SweepFrames, trials: pd.DataFrame) -> list[dict[str, Any]]:
    goals, costs, chances = frames.study.objectives, cost_metrics(frames), front_chances(frames)
    return [
        {
            "trial": int(row["number"]),
            "method": method_of(row),
            "searched": searched_params(row, frames.study),
            **{goal.metric: float(row[goal.metric]) for goal in goals},
            "test": dict(_tests(frames, int(row["number"]))),
            CHANCE: chances.get(int(row["number"])),
            **{name: None if math.isnan(row[name]) else float(row[name]) for name in costs},
        }
        for row in records(trials)
    ]


def _tests(frames: SweepFrames, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for metric in filter(None, map(test_metric, frames.study.objectives)):
        if (interval := confirmed(frames, number, metric)) is not None:
            facts = {"mean": interval.mean, "half_width": interval.half_width}
            yield metric, {**facts, "seeds": interval.count}


def front_notes(frames: SweepFrames) -> list[str]:
    """Return what counts as equal on the front, and which costs its knee leaves out."""
    notes = []
    tolerant = [goal for goal in frames.study.objectives if goal.tolerance]
    if tolerant:
        equal = " and ".join(f"{tolerance_text(goal)} in {goal.label}" for goal in tolerant)
        notes.append(
            f"Differences of up to {equal} count as equal: a trial is off the front if another is "
            "better by more in one objective and nowhere worse by more. The hypervolume knows no "
            "tolerance."
        )
    echoes = knee_echoes(frames) if len(front_trials(frames)) > 1 else []
    notes += [
        f"The knee leaves out {echo.ignored.label}, which rises and falls with {echo.kept.label} "
        f"(Pearson’s correlation {echo.correlation:.2f} over "
        f"{text.plural(echo.points, 'trial')}): it would count twice."
        for echo in echoes
    ]
    return notes


def tolerance_text(goal: Objective) -> str:
    """Return a tolerance with its unit, or in percent where it is a share."""
    if goal.scale == "log":
        return text.with_unit(f"{100.0 * goal.tolerance:g}", "%")
    return text.with_unit(f"{goal.tolerance:g}", goal.unit)
