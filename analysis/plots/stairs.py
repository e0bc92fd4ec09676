"""Two objectives against each other, and the stairs that separate what is reached from what not."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.fronts import split_label
from analysis.pareto import sweep_front
from analysis.ranking import column
from search_spaces.objectives import Objective


@dataclass(frozen=True, slots=True)
class Pair:
    """Two objectives to draw against each other: cost to the right, quality upwards."""

    x: Objective
    y: Objective


def pairs(objectives: Sequence[Objective]) -> list[Pair]:
    """Return the pairs of objectives that are drawn, the earlier one on the y axis.

    Two costs do not show how good a student is, so one of a pair is a quality; if
    no objective is, one is the first. A single objective has no pair; the report draws its history
    instead.
    """
    qualities = [goal for goal in objectives if split_label(goal)] or objectives[:1]
    return [
        Pair(x=second, y=first)
        for first, second in combinations(objectives, 2)
        if first in qualities or second in qualities
    ]


def staircase(rows: pd.DataFrame, pair: Pair) -> tuple[list[float], list[float]]:
    """Return ``stairs`` of the rows that have both objectives."""
    points = np.stack([column(rows, pair.x.metric), column(rows, pair.y.metric)], axis=1)
    return stairs(points[np.isfinite(points).all(1)], pair)


def stairs(points: NDArray[np.float64], pair: Pair) -> tuple[list[float], list[float]]:
    """Return x and y of the corners of the attainment surface of points [n, 2], sorted by x.

    It separates what some trial reaches from what none does, so its steps turn on the side of the
    worse values.
    """
    front = points[sweep_front(points, [pair.x, pair.y])]
    front = np.unique(front, axis=0)
    if not len(front):
        return [], []
    xs, ys = [float(front[0, 0])], [float(front[0, 1])]
    for (x0, y0), (x1, y1) in pairwise(front.tolist()):
        corner = (x1, y0) if pair.x.direction == "minimize" else (x0, y1)
        xs += [corner[0], x1]
        ys += [corner[1], y1]
    return xs, ys
