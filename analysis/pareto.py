"""The one home of dominance: fronts, ranks and hypervolume, computed by moocore.

Shapes in this file: n = points, m = objectives. Values are in the objectives' own units and
directions; nothing is negated outside moocore.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.objectives import Objective

Direction = Literal["minimize", "maximize"]

Floats = NDArray[np.float64]

LEAST = float(np.finfo(np.float64).tiny)

ROUNDING = 1e-9
"""Share of a tolerance that rounding may add to a difference."""


def front_mask(values: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return the mask of points [n, m] that no other point dominates, shape [n].

    Equal points do not dominate each other: of duplicates on the front all are kept.

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    mask = moocore.is_nondominated(points, maximise=_maximise(directions), keep_weakly=True)
    return np.asarray(mask, dtype=np.bool_)


def ranks(values: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.int64]:
    """Return the rank of every point [n, m]: 0 on the front, 1 on the front of the rest, ...

    This is the non-dominated sorting of Deb et al. (2002), NSGA-II, Section III-A.

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    rank: Any = moocore.pareto_rank(points, maximise=_maximise(directions))
    return np.asarray(rank, dtype=np.int64)


def sweep_front(values: ArrayLike, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    r"""Return which points are on a study's front, where differences within tolerance are equal.

    With costs c_k (less is better, in decades if the scale is log) and tolerances t_k, q is better
    than p if it dominates p, or if

    .. math:: \forall k: c_k(q) \le c_k(p) + t_k, \quad \exists k: c_k(q) < c_k(p) - t_k, \quad
              \sum_{k: t_k > 0} \frac{c_k(q) - c_k(p)}{t_k} < 0

    where the sum only counts if q is not better in an objective without tolerance. The first
    two conditions are additive epsilon-dominance (Zitzler et al. 2003, "Performance Assessment of
    Multiobjective Optimizers"). Alone they are no order: of three or more objectives they can run
    in a circle, in which each point pushes the next off the front. The sum forbids that, and
    follows from the other two if there are two objectives. What is left has no circles, so exactly
    one set has no member better than another and a better member for all others (von Neumann and
    Morgenstern 1944, the stable set): this is the front. It is a part of the front without
    tolerances, is that front if all tolerances are 0, does not depend on the order of the points
    or on dominated ones, and keeps the best value of every objective to within its tolerance.

    Returns:
        Mask of the front, shape [n]; equal points are on it together.

    Raises:
        ValueError: If a value is NaN, one on a log scale with a tolerance is negative, or the
            shapes do not agree.
    """
    mask = front_mask(values, directions_of(objectives))
    tolerance = tolerances(objectives)
    if tolerance.any():
        found = np.flatnonzero(mask)
        points = _points(values, directions_of(objectives))[found]
        costs = costs_of(points, objectives, exact=True)
        mask[found] = _stable(costs, tolerance)
    return mask


def _stable(costs: Floats, tolerance: Floats) -> NDArray[np.bool_]:
    """Return the stable set among points that do not dominate each other, see `sweep_front`."""
    exact = tolerance == 0.0
    total = (costs[:, ~exact] / tolerance[~exact]).sum(axis=1)
    kept = np.ones(len(costs), dtype=np.bool_)
    # Nobody is better than one that comes before in this order, so whoever is left is on the front.
    for one in np.lexsort((total, *costs[:, exact].T)):
        if kept[one]:
            ahead = costs - costs[one]
            order = (ahead[:, exact] > 0.0).any(axis=1) | (total > total[one])
            better = (ahead >= -tolerance).all(axis=1) & (ahead > tolerance).any(axis=1)
            kept &= ~(better & order)
    return kept


def sweep_ranks(values: ArrayLike, objectives: Sequence[Objective]) -> NDArray[np.int64]:
    """Return the rank of every point: 0 on `sweep_front`, 1 on that of the rest, and so on."""
    points = _points(values, directions_of(objectives))
    if not tolerances(objectives).any():
        return ranks(points, directions_of(objectives))
    rank = np.zeros(len(points), dtype=np.int64)
    left, level = np.arange(len(points)), 0
    while len(left):
        on = sweep_front(points[left], objectives)
        rank[left[on]] = level
        left, level = left[~on], level + 1
    return rank


def tolerances(objectives: Sequence[Objective]) -> Floats:
    """Return by how much costs may differ and count as equal, on the scales of ``transformed``."""
    # slightly more than given: 1.05 - 1.0 is above 0.05
    return (1.0 + ROUNDING) * np.array(
        [math.log10(1.0 + o.tolerance) if o.scale == "log" else o.tolerance for o in objectives]
    )


def hypervolume(
    values: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]
) -> float:
    """Return the volume that the points dominate up to the reference point.

    Points that are not better than the reference in every objective add nothing. The unit is the
    product of the objectives' units.

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    corner = _points([list(reference)], directions)[0]
    return float(moocore.hypervolume(points, ref=corner, maximise=_maximise(directions)))


def added_hypervolume(front: Floats, draws: Floats, corner: Floats) -> Floats:
    """Return the mean hypervolume that the draws [c, d, m] of each of c points add to a front.

    Each draw is added by itself. Of two objectives the area is summed over the stairs of the front.
    Less is better; no point of the front [n, m] is better than another, all are better than the
    reference point ``corner`` [m]. The result has shape [c].
    """
    if len(corner) == 2:
        steps = front[np.argsort(front[:, 0])]
        left = np.append(-np.inf, steps[:, 0])  # each step lasts until the next one
        right = np.append(steps[:, 0], corner[0])
        heights = np.append(corner[1], steps[:, 1])
        widths = np.maximum(right - np.maximum(left, draws[..., :1]), 0.0)
        areas = (widths * np.maximum(heights - draws[..., 1:], 0.0)).sum(axis=-1)
        return np.asarray(areas.mean(axis=-1), dtype=np.float64)
    fewest: list[Direction] = ["minimize"] * len(corner)
    before = hypervolume(front, fewest, list(corner)) if len(front) else 0.0
    inside = [points[(points < corner).all(axis=1)] for points in draws]
    added = [
        sum(hypervolume(np.vstack([front, p]), fewest, list(corner)) - before for p in points)
        for points in inside
    ]
    return np.asarray(np.array(added) / draws.shape[1], dtype=np.float64)


def transformed(
    values: ArrayLike, objectives: Sequence[Objective], *, exact: bool = False
) -> Floats:
    """Return the values on the scale of the volume: log10 where the objective has a log scale.

    Values below an objective's ``floor``, also 0, are raised to it, unless ``exact``: then 0 is
    below all others.

    Raises:
        ValueError: If a log-scaled value is negative, or the shapes do not agree.
    """
    points = _points(values, directions_of(objectives)).copy()
    for column, objective in enumerate(objectives):
        if objective.scale != "log":
            continue
        floor = LEAST if exact else objective.floor
        if (points[:, column] < 0.0).any():
            lowest = points[:, column].min()
            raise ValueError(
                f"objective {objective.metric!r} is log-scaled and cannot be negative, got {lowest}"
            )
        points[:, column] = np.log10(np.maximum(points[:, column], floor))
    return points


def sweep_hypervolume(values: ArrayLike, objectives: Sequence[Objective]) -> float:
    """Return `hypervolume` of values [n, m] up to `reference_point`; errors as `transformed`."""
    points, corner = transformed(values, objectives), reference_point(objectives)
    return hypervolume(points, directions_of(objectives), corner)


def sweep_hypervolume_series(values: ArrayLike, objectives: Sequence[Objective]) -> list[float]:
    """Return ``sweep_hypervolume`` of the first 1, 2, ... n points; it never falls."""
    points, corner = transformed(values, objectives), reference_point(objectives)
    front, directions, series = points[:0], directions_of(objectives), []
    for point in points:
        # Only the front of what was found so far can carry volume; keeping it alone keeps a
        # sweep of thousands of trials cheap.
        front = np.vstack([front, point])
        front = front[front_mask(front, directions)]
        series.append(hypervolume(front, directions, corner))
    return series


def behind_front(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    r"""Return the distance of every point to the front: the least epsilon that closes it.

    .. math:: d(a) = \min_{f \in F} \max_k \frac{c_k(a) - c_k(f)}{r_k}

    where F is the front of the points, c_k what objective k costs (its negative if it is maximised,
    in decades if its scale is log) and r_k the range of c_k over F, or over all points if F has
    none, and at least the tolerance. A point no more than epsilon behind epsilon-dominates a member
    of the front, as Laumanns et al. (2002), "Combining Convergence and Diversity in Evolutionary
    Multiobjective Optimization", Definition 3, have it: moved by epsilon of every range it is
    nowhere worse.

    Returns:
        Shares of the front's ranges, shape [n]; 0 on the front and above 0 off it.

    Raises:
        ValueError: As ``transformed``.
    """
    costs = costs_of(values, objectives)
    if not len(costs):
        return np.zeros(0)
    front = costs[sweep_front(values, objectives)]
    scale = _ranges(front, costs, tolerances(objectives))
    distance = np.full(len(costs), np.inf)
    for member in np.unique(front, axis=0):
        np.minimum(distance, ((costs - member) / scale).max(axis=1), out=distance)
    return distance


def costs_of(values: ArrayLike, objectives: Sequence[Objective], *, exact: bool = False) -> Floats:
    """Return the values as ``transformed``, errors included, but less is better in all, [n, m]."""
    signs = [1.0 if objective.direction == "minimize" else -1.0 for objective in objectives]
    costs: Floats = transformed(values, objectives, exact=exact) * np.asarray(signs)
    return costs


def _ranges(front: Floats, others: Floats, tolerance: Floats) -> Floats:
    """Return the range of every column of a front; of the others where the front has none."""
    width, wider = np.ptp(front, axis=0), np.ptp(others, axis=0)
    least = np.where(tolerance > 0.0, tolerance, 1.0)
    return np.where(width > tolerance, width, np.where(wider > tolerance, wider, least))


def reference_point(objectives: Sequence[Objective]) -> list[float]:
    """Return the study's reference point on the scales of ``transformed``."""
    corner = transformed([[objective.reference for objective in objectives]], objectives)[0]
    return [float(value) for value in corner]


def directions_of(objectives: Sequence[Objective]) -> list[Direction]:
    """Return the directions of the objectives, in their order."""
    return [objective.direction for objective in objectives]


def _points(values: ArrayLike, directions: Sequence[Direction]) -> Floats:
    points = np.asarray(values, dtype=np.float64)
    if points.size == 0:
        points = points.reshape(0, len(directions))
    if points.ndim != 2 or points.shape[1] != len(directions):
        raise ValueError(
            f"expected points of shape [n, {len(directions)}] for {len(directions)} directions, "
            f"got {points.shape}"
        )
    if np.isnan(points).any():
        raise ValueError("a point with NaN can neither dominate nor be dominated; leave it out")
    return np.ascontiguousarray(points)


def _maximise(directions: Sequence[Direction]) -> bool | list[bool]:
    flags = [direction == "maximize" for direction in directions]
    # moocore 0.3.2: pareto_rank of one objective reads [False] as True, but False correctly.
    return flags[0] if len(flags) == 1 else flags
