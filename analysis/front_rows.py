"""The front, and what is near it, as rows of plain data."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.chance import front_chances
from analysis.frames import SweepFrames
from analysis.fronts import (
    confirmed,
    cost_metrics,
    feasible_trials,
    front_trials,
    method_of,
    searched_params,
    test_metric,
)
from analysis.pareto import behind_front
from analysis.ranking import objective_values, records
from analysis.repeats import near_trials

CHANCE = "front_chance"
BEHIND = "behind"


def front_rows(frames: SweepFrames) -> list[dict[str, Any]]:
    """Return the front as plain rows, the best in the first objective first.

    Returns:
        Per trial: ``trial``, ``method``, ``searched`` (parameters varied and active), one entry per
        objective under its metric's name (``val_`` is validation; ``params`` is one), for each
        validation objective ``test`` by metric with ``mean``, ``half_width`` (None for one seed)
        and ``seeds``, ``front_chance`` (`analysis.chance.front_chances`; None if it was not
        repeated) and the measured entries of ``COSTS``. JSON scalars, dicts and None only.
    """
    return _Rows.of(frames).rows(front_trials(frames))


def near_rows(frames: SweepFrames) -> list[dict[str, Any]]:
    """Return the trials off the front that were repeated, those nearest to it first.

    Returns:
        Rows as those of ``front_rows`` with ``behind``: how far the trial is behind the front on
        validation, as a share of the front's ranges (`analysis.pareto.behind_front`).
    """
    rows, trials = _Rows.of(frames), feasible_trials(frames)
    distances = behind_front(objective_values(trials, frames.study), frames.study.objectives)
    behind = dict(zip(map(int, trials["number"]), distances.tolist(), strict=True))
    found = [{**row, BEHIND: behind[row["trial"]]} for row in rows.rows(near_trials(frames))]
    return sorted(found, key=lambda row: (row[BEHIND], row["trial"]))


@dataclass(frozen=True, slots=True)
class _Rows:
    """What every row of a sweep needs to know."""

    frames: SweepFrames
    costs: list[str]
    chances: Mapping[int, float]

    @classmethod
    def of(cls, frames: SweepFrames) -> "_Rows":
        return cls(frames, cost_metrics(frames), front_chances(frames))

    def rows(self, trials: pd.DataFrame) -> list[dict[str, Any]]:
        return [self._row(row) for row in records(trials)]

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        number, study = int(row["number"]), self.frames.study
        return {
            "trial": number,
            "method": method_of(row),
            "searched": searched_params(row, study),
            **{o.metric: float(row[o.metric]) for o in study.objectives},
            "test": dict(self._tests(number)),
            CHANCE: self.chances.get(number),
            **{name: None if math.isnan(row[name]) else float(row[name]) for name in self.costs},
        }

    def _tests(self, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
        for objective in self.frames.study.objectives:
            metric = test_metric(objective)
            interval = None if metric is None else confirmed(self.frames, number, metric)
            if metric is not None and interval is not None:
                yield (
                    metric,
                    {
                        "mean": interval.mean,
                        "half_width": interval.half_width,
                        "seeds": interval.count,
                    },
                )
