"""The front, and what is near it, as rows of plain data, and what a reader has to know of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
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
    split_label,
    test_metric,
)
from analysis.pareto import behind_front
from analysis.ranking import objective_values, records, where
from analysis.reference_names import identifying, short_labels
from analysis.repeats import front_chances, near_trials
from analysis.scores import known, same_scenario
from analysis.stats import Interval
from search_spaces.objectives import Objective

CHANCE = "front_chance"
BEHIND = "behind"

ADVISED_SEEDS = 3
"""Of an interval that tells something: with two, Student's t is 12.7."""


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


def on_test(row: Mapping[str, Any], goal: Objective) -> Interval | None:
    """Return the mean of an objective on the test split in one of the rows; None without one."""
    found = row["test"].get(test_metric(goal))
    return found and Interval(found["mean"], found["half_width"], found["seeds"])


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


def reference_rows(frames: SweepFrames, trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the teachers and baselines of the data of ``trials``, teachers first, best first.

    Returns:
        Per reference with a value of an objective that depends on data: ``method`` (``teacher``,
        ``baseline PCA``), one entry per objective and ``test`` as in ``front_rows``,
        with None for what was not measured; nothing was repeated.
    """
    rows: list[dict[str, Any]] = []
    for table, kind in ((frames.teachers, "teacher"), (frames.baselines, "baseline")):
        columns, beside = identifying(table), records(trials)
        same = (any(same_scenario(columns, row, one) for one in beside) for row in records(table))
        found = where(table, same)
        prefix = "" if kind == "teacher" else f"{kind} "
        named = zip(short_labels(found, kind), records(found), strict=True)
        rows += _best_first(frames, [_reference(frames, prefix + name, row) for name, row in named])
    return rows


def _reference(frames: SweepFrames, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    goals = frames.study.objectives
    tests = {metric: known(row, metric) for metric in filter(None, map(test_metric, goals))}
    return {
        "method": name,
        **{goal.metric: known(row, goal.metric) for goal in goals},
        "test": {m: _plain(Interval(v, None, 1)) for m, v in tests.items() if v is not None},
    }


def _plain(value: Interval) -> dict[str, Any]:
    return {"mean": value.mean, "half_width": value.half_width, "seeds": value.count}


def _best_first(frames: SweepFrames, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with a value that depends on data, by the first such objective."""
    goals = [goal for goal in frames.study.objectives if split_label(goal)]
    rows = [row for row in rows if row["test"] or any(row[o.metric] is not None for o in goals)]
    if not goals:
        return rows
    first, sign = goals[0].metric, 1.0 if goals[0].direction == "minimize" else -1.0
    return sorted(rows, key=lambda row: math.inf if row[first] is None else sign * row[first])


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
            yield metric, _plain(interval)


def front_notes(frames: SweepFrames) -> list[str]:
    """Return what counts as equal on the front, and what its intervals and its knee leave out."""
    notes = []
    tolerant = [goal for goal in frames.study.objectives if goal.tolerance]
    if tolerant:
        equal = " and ".join(f"{tolerance_text(goal)} in {goal.label}" for goal in tolerant)
        notes.append(
            f"Differences of up to {equal} count as equal: a trial is off the front if another is "
            "better by more in one objective and nowhere worse by more. The hypervolume knows no "
            "tolerance."
        )
    if count := _few_seeds(frames):
        notes.append(
            f"Test values are means over {count} seeds: intervals of fewer than {ADVISED_SEEDS} "
            "are hardly any, nor are chances on the front. Give seeds.confirm three or more."
        )
    echoes = knee_echoes(frames) if len(front_trials(frames)) > 1 else []
    notes += [
        f"The knee leaves out {echo.ignored.label}, which rises and falls with {echo.kept.label} "
        f"(Pearson’s correlation {echo.correlation:.2f} over "
        f"{text.plural(echo.points, 'trial')}): it would count twice."
        for echo in echoes
    ]
    return notes


def _few_seeds(frames: SweepFrames) -> int:
    """Return the least number of seeds behind an interval of the front; 0 if that is enough."""
    numbers = front_trials(frames)["number"]
    tests = [found for number in numbers for _, found in _tests(frames, int(number))]
    least = min((one["seeds"] for one in tests if one["half_width"] is not None), default=0)
    return least if least < ADVISED_SEEDS else 0


def tolerance_text(goal: Objective) -> str:
    """Return a tolerance with its unit, or in percent where it is a share."""
    if goal.scale == "log":
        return text.with_unit(f"{100.0 * goal.tolerance:g}", "%")
    return text.with_unit(f"{goal.tolerance:g}", goal.unit)
