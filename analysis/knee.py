"""The knee of a front: the member nearest to the best of all objectives at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from analysis.pareto import costs_of, tolerances
from search_spaces.objectives import Objective

SAME = 0.95
"""Correlation above which two costs count as one."""

FEWEST_POINTS = 3
"""Least number of distinct points of a correlation: any two lie on a line."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A cost that correlates over ``points`` trials with an earlier one, which the knee keeps."""

    ignored: Objective
    kept: Objective
    correlation: float
    points: int


def knee(values: ArrayLike, objectives: Sequence[Objective], echoes: Sequence[Echo] = ()) -> int:
    """Return the index of a front's knee: the member nearest to the best of all objectives at once.

    Every objective is scaled so that the front reaches from 0, its best, to 1, its worst; axes that
    are ``log`` in decades. One in which the front differs within its tolerance is left out. The
    nearest to the origin is the knee; of equals the first.

    Raises:
        ValueError: If a value is NaN, or there is none.
    """
    costs = costs_of(values, objectives)
    if not len(costs):
        raise ValueError("an empty front has no knee")
    spread = np.ptp(costs, axis=0)
    counts = spread > tolerances(objectives)
    counts &= [all(goal != echo.ignored for echo in echoes) for goal in objectives]
    scaled = (costs - costs.min(axis=0))[:, counts] / spread[counts]
    return int(np.argmin(np.square(scaled).sum(axis=1)))


def find_echoes(
    values: ArrayLike, objectives: Sequence[Objective], costs: Sequence[bool]
) -> list[Echo]:
    r"""Return the costs that rise and fall with an earlier one.

    .. math:: r = \frac{\sum_i (a_i - \bar a)(b_i - \bar b)}
              {\sqrt{\sum_i (a_i - \bar a)^2 \sum_i (b_i - \bar b)^2}} > 0.95

    Pearson's correlation of what two objectives cost, on the scales on which the knee measures
    distances: in decades if the scale is log. It is not that of ranks, in which the noise of a
    latency among trials of equal FLOPs would count as much as the difference between networks. A
    cost that falls as another rises is a trade-off and stays. One that does not differ by more than
    its tolerance has no correlation; with fewer than three different points there is none.

    Args:
        values: Trials, not only those on the front, shape [n, m]; finite.
        objectives: The objectives, m of them.
        costs: Which of them are costs, and not qualities, of a student.

    Raises:
        ValueError: As `analysis.pareto.transformed`.
    """
    points = costs_of(values, objectives)
    if len(np.unique(points, axis=0)) < FEWEST_POINTS:
        return []
    varies = np.ptp(points, axis=0) > tolerances(objectives)
    among = np.flatnonzero(varies & np.asarray(costs, dtype=bool)).tolist()
    found: dict[int, Echo] = {}
    for first, second in combinations(among, 2):
        correlation = float(np.corrcoef(points[:, first], points[:, second])[0, 1])
        if correlation > SAME and first not in found and second not in found:
            found[second] = Echo(objectives[second], objectives[first], correlation, len(points))
    return list(found.values())
