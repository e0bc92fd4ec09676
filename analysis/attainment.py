"""Empirical attainment of two objectives: how many of several sets reach a point; by moocore."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import moocore
import numpy as np
from numpy.typing import NDArray

from analysis.pareto import Direction, Floats

LEVELS = (25, 50, 75)
"""Shares of the sets whose surfaces are shown [%]."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Points that a number of sets attain.

    Attributes:
        count: Least number of sets that attain it.
        levels: Shares that correspond to this number [%]; with few sets there may be several.
        points: Corners of the surface on its better side, shape [n, 2], in the objectives' units.
    """

    count: int
    total: int
    levels: tuple[int, ...]
    points: Floats


def attainment_surfaces(
    sets: Sequence[Floats], directions: Sequence[Direction], levels: Sequence[int] = LEVELS
) -> list[Surface]:
    r"""Return the surfaces of the empirical attainment function, the most easily attained first.

    .. math:: \alpha(z) = \frac{1}{n} \sum_{i=1}^{n} \mathbf{1}\left[A_i \preceq z\right]

    is the share of the n sets of which a point is at least as good as z in both objectives
    (Grunert da Fonseca, Fonseca and Hall 2001, Inferential Performance Assessment of Stochastic
    Optimisers and the Attainment Function). The surface of level p separates where it reaches p
    from where it does not; that takes ceil(n p / 100) sets. A set has shape [k, 2] with k at least
    1; levels are percent, above 0 and at most 100.
    """
    signs = _signs(directions)
    total = len(sets)
    labels = np.repeat(np.arange(1.0, total + 1.0), [len(points) for points in sets])
    corners = moocore.eaf(np.concatenate(sets) * signs, labels)
    counts = np.rint(corners[:, 2] * total / 100.0).astype(int)
    wanted = {level: -(-total * level // 100) for level in sorted(levels)}
    return [
        Surface(
            count=count,
            total=total,
            levels=tuple(level for level in wanted if wanted[level] == count),
            points=corners[counts == count, :2] * signs,
        )
        for count in dict.fromkeys(wanted.values())
    ]


def attainment_difference(
    first: Sequence[Floats], second: Sequence[Floats], directions: Sequence[Direction]
) -> Floats:
    r"""Return where one group of sets attains more than another: rectangles and the difference.

    .. math:: \Delta(z) = \alpha_1(z) - \alpha_2(z)

    with the attainment functions of the groups, each a share of its own sets, so that groups of
    different sizes can be compared (moocore.eafdiff counts sets). A set has shape [k, 2].

    Returns:
        Rectangles that do not overlap, shape [r, 5]: the corner on the better side of both
        objectives, the opposite corner (infinite where a rectangle has no end) and the difference,
        not 0, from -1 to 1.
    """
    signs = _signs(directions)
    groups = [[points * signs for points in sets] for sets in (first, second)]
    every = np.concatenate([points for sets in groups for points in sets])
    xs, ys = np.unique(every[:, 0]), np.unique(every[:, 1])
    ours, theirs = (
        np.sum([_reached(points, xs, ys) for points in sets], axis=0) for sets in groups
    )
    # whole numbers, so that equal shares of groups of different sizes are equal
    counts = ours * len(second) - theirs * len(first)
    rows = []
    for left, right, strip in zip(xs, [*xs[1:], np.inf], counts, strict=True):
        ends = [0, *(np.flatnonzero(np.diff(strip)) + 1), len(ys)]
        for start, stop in pairwise(ends):
            top = ys[stop] if stop < len(ys) else np.inf
            rows.append((left, ys[start], right, top, strip[start] / (len(first) * len(second))))
    patches: Floats = np.array([row for row in rows if row[4]], dtype=np.float64).reshape(-1, 5)
    patches *= [*signs, *signs, 1.0]
    return patches


def _reached(points: Floats, xs: Floats, ys: Floats) -> NDArray[np.int64]:
    """Return 1 where a set has a point at least as good as (x, y), both minimised, shape [x, y]."""
    best = np.where(points[:, 0] <= xs[:, None], points[:, 1], np.inf).min(axis=1)
    reached: NDArray[np.int64] = (best[:, None] <= ys).astype(np.int64)
    return reached


def led_volumes(
    patches: Floats, directions: Sequence[Direction], reference: Sequence[float]
) -> tuple[float, float]:
    """Return the volume over which each of two groups leads, up to a reference point.

    The integrals of the positive and of the negative part of the difference. The first less the
    second is the difference of the groups' mean hypervolumes. ``patches``, shape [r, 5], are those
    of `attainment_difference`.
    """
    signs = _signs(directions)
    corner = np.asarray(reference, dtype=np.float64) * signs
    low, high = patches[:, :2] * signs, np.minimum(patches[:, 2:4] * signs, corner)
    weighted = np.maximum(high - low, 0.0).prod(axis=1) * patches[:, 4]
    return float(weighted[weighted > 0.0].sum()), float(-weighted[weighted < 0.0].sum())


def _signs(directions: Sequence[Direction]) -> Floats:
    # moocore.eaf knows no maximisation
    return np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])
