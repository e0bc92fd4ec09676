"""The one home of dominance: fronts, ranks and hypervolume, computed by moocore.

Shapes in this file: n = points, m = objectives. Values are in the objectives' own units and
directions; nothing is negated outside moocore.
"""

from collections.abc import Sequence
from typing import Any, Literal

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.objectives import Objective

Direction = Literal["minimize", "maximize"]

Floats = NDArray[np.float64]


def front_mask(values: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return which points no other point dominates.

    Equal points do not dominate each other: of duplicates on the front all are kept.

    Args:
        values: Points, shape [n, m]; n may be 0.
        directions: Which way is better, one per objective.

    Returns:
        Mask of the front, shape [n].

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    mask = moocore.is_nondominated(points, maximise=_maximise(directions), keep_weakly=True)
    return np.asarray(mask, dtype=np.bool_)


def ranks(values: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.int64]:
    """Return the rank of every point: 0 on the front, 1 on the front of the rest, and so on.

    This is the non-dominated sorting of Deb et al. (2002), NSGA-II, Section III-A.

    Args:
        values: Points, shape [n, m]; n may be 0.
        directions: Which way is better, one per objective.

    Returns:
        Ranks, shape [n].

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    rank: Any = moocore.pareto_rank(points, maximise=_maximise(directions))
    return np.asarray(rank, dtype=np.int64)


def hypervolume(
    values: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]
) -> float:
    """Return the volume that the points dominate up to the reference point.

    Args:
        values: Points, shape [n, m]; points that are not better than the reference in every
            objective add nothing.
        directions: Which way is better, one per objective.
        reference: The reference point, one value per objective.

    Returns:
        Volume in the product of the objectives' units; 0 for no points.

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    corner = _points([list(reference)], directions)[0]
    return float(moocore.hypervolume(points, ref=corner, maximise=_maximise(directions)))


def hypervolume_series(
    values: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]
) -> list[float]:
    """Return the hypervolume of the first 1, 2, ... n points; it never falls.

    Args:
        values: Points in the order in which they were found, shape [n, m].
        directions: Which way is better, one per objective.
        reference: The reference point, one value per objective.

    Raises:
        ValueError: If a value is NaN or the shapes do not agree.
    """
    points = _points(values, directions)
    front = points[:0]
    series: list[float] = []
    for point in points:
        # Only the front of what was found so far can carry volume; keeping it alone keeps a
        # sweep of thousands of trials cheap.
        front = np.vstack([front, point])
        front = front[front_mask(front, directions)]
        series.append(hypervolume(front, directions, reference))
    return series


def transformed(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    """Return the values on the scale on which volume is measured: log10 where asked for.

    Args:
        values: Points in the objectives' units, shape [n, m].
        objectives: What the columns are; those with ``scale == "log"`` are transformed.

    Raises:
        ValueError: If a log-scaled value is not positive, or the shapes do not agree.
    """
    points = _points(values, directions_of(objectives)).copy()
    for column, objective in enumerate(objectives):
        if objective.scale != "log":
            continue
        if not (points[:, column] > 0.0).all():
            lowest = points[:, column].min()
            raise ValueError(
                f"objective {objective.metric!r} is log-scaled and needs positive values, "
                f"got {lowest}"
            )
        points[:, column] = np.log10(points[:, column])
    return points


def sweep_hypervolume(values: ArrayLike, objectives: Sequence[Objective]) -> float:
    """Return the hypervolume under the study's reference point and scales, shape of values [n, m].

    Raises:
        ValueError: As ``transformed`` and ``hypervolume``.
    """
    points, corner = transformed(values, objectives), reference_point(objectives)
    return hypervolume(points, directions_of(objectives), corner)


def sweep_hypervolume_series(values: ArrayLike, objectives: Sequence[Objective]) -> list[float]:
    """Return ``sweep_hypervolume`` of the first 1, 2, ... n points.

    Raises:
        ValueError: As ``transformed`` and ``hypervolume``.
    """
    points, corner = transformed(values, objectives), reference_point(objectives)
    return hypervolume_series(points, directions_of(objectives), corner)


def knee(values: ArrayLike, objectives: Sequence[Objective]) -> int:
    """Return the index of a front's knee: the member nearest to the best of all objectives at once.

    Every objective is scaled so that the front reaches from 0, its best, to 1, its worst; axes that
    are ``log`` in decades. The nearest to the origin is the knee; of equals the first.

    Args:
        values: The front, shape [n, m], n at least 1, finite.
        objectives: The objectives, m of them.

    Raises:
        ValueError: If a value is NaN, or there is none.
    """
    costs = _costs(values, objectives)
    if not len(costs):
        raise ValueError("an empty front has no knee")
    scaled = (costs - costs.min(axis=0)) / _ranges(costs, costs)
    return int(np.argmin(np.square(scaled).sum(axis=1)))


def behind_front(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    r"""Return how far every point is behind the front: the least epsilon that mends it.

    .. math:: d(a) = \min_{f \in F} \max_k \frac{c_k(a) - c_k(f)}{r_k}

    where F is the front of the points, c_k what objective k costs (its negative if it is maximised,
    in decades if its scale is log) and r_k the range of c_k over F, or over all points if F has
    none. A point no more than epsilon behind epsilon-dominates a member of the front, as Laumanns
    et al. (2002), "Combining Convergence and Diversity in Evolutionary Multiobjective
    Optimization", Definition 3, have it: moved by epsilon of every range it is nowhere worse.

    Args:
        values: Points in the objectives' units, shape [n, m]; n may be 0.
        objectives: The objectives, m of them.

    Returns:
        Shares of the front's ranges, shape [n]; 0 on the front and above 0 off it.

    Raises:
        ValueError: As ``transformed``.
    """
    costs = _costs(values, objectives)
    if not len(costs):
        return np.zeros(0)
    front = costs[front_mask(values, directions_of(objectives))]
    scale = _ranges(front, costs)
    distance = np.full(len(costs), np.inf)
    for member in np.unique(front, axis=0):
        np.minimum(distance, ((costs - member) / scale).max(axis=1), out=distance)
    return distance


def _costs(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    """Return the values so that less is better in all, on the scales of ``transformed``."""
    signs = [1.0 if objective.direction == "minimize" else -1.0 for objective in objectives]
    costs: Floats = transformed(values, objectives) * np.asarray(signs)
    return costs


def _ranges(front: Floats, others: Floats) -> Floats:
    """Return the range of every column of a front; of the others where the front has none."""
    width, wider = np.ptp(front, axis=0), np.ptp(others, axis=0)
    return np.where(width > 0.0, width, np.where(wider > 0.0, wider, 1.0))


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
