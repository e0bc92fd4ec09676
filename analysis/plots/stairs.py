"""Two objectives against each other, and the stairs that separate what is reached from what not.

Those of repeated trials are surfaces of the empirical attainment function.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.attainment import attainment_surfaces
from analysis.frames import SweepFrames
from analysis.fronts import split_label
from analysis.pareto import sweep_front
from analysis.plots.theme import add_line
from analysis.ranking import column
from analysis.repeats import seed_sets
from search_spaces.objectives import Objective

Stairs: TypeAlias = tuple[list[float], list[float]]
"""X and y of corners."""


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


def staircase(rows: pd.DataFrame, pair: Pair) -> Stairs:
    """Return ``stairs`` of the rows that have both objectives."""
    points = np.stack([column(rows, pair.x.metric), column(rows, pair.y.metric)], axis=1)
    return stairs(points[np.isfinite(points).all(1)], pair)


def stairs(points: NDArray[np.float64], pair: Pair) -> Stairs:
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


COLOUR = "#8C6BB1"
DASHES = {25: "dot", 50: "solid", 75: "dash"}
"""Line of each level [%]; a surface of several levels has that of the one next to the middle."""


def attained(frames: SweepFrames, pair: Pair) -> Iterator[tuple[Stairs, str, str]]:
    """Yield stairs of a sweep of two objectives, with name and dash; none without repetitions.

    With more objectives the surfaces of two of them would hide what the others cost.
    """
    sets = pair_sets(frames)
    if len(frames.study.objectives) != 2 or not sets:
        return
    for one in attainment_surfaces(sets, [pair.x.direction, pair.y.direction]):
        dash = DASHES[min(one.levels, key=lambda level: abs(level - 50))]
        name = f"attained by {one.count} of {one.total} seeds"
        yield stairs(one.points, pair), name, dash


def pair_sets(frames: SweepFrames) -> list[NDArray[np.float64]]:
    """Return the sweep's `seed_sets` as x and y: pairs draw the first objective upwards."""
    return [points[:, ::-1] for points in seed_sets(frames).values()]


def median_stairs(frames: SweepFrames, pair: Pair) -> Stairs:
    """Return x and y of the stairs that half of a sweep's seeds attain."""
    directions = [pair.x.direction, pair.y.direction]
    (surface,) = attainment_surfaces(pair_sets(frames), directions, [50])
    return stairs(surface.points, pair)


def add_attainment(figure: go.Figure, frames: SweepFrames, pair: Pair) -> None:
    """Draw the surfaces, if there are any."""
    for corners, name, dash in attained(frames, pair):
        add_line(figure, corners, name, line={"color": COLOUR, "width": 1.6, "dash": dash})
