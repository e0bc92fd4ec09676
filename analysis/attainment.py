"""Empirical attainment of two objectives: how many of several sets reach a point; by moocore."""

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from analysis.pareto import Direction
from analysis.repeats import Floats

LEVELS = (25, 50, 75)
"""Shares of the sets whose surfaces are shown [%]."""


@dataclass(frozen=True, slots=True)
class Surface:
    """What a number of sets attain.

    Attributes:
        count: Attained by so many sets at least.
        total: Of so many.
        levels: The shares that ask for this number [%]; with few sets it may be several.
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
    from where it does not; that takes ceil(n p / 100) sets.

    Args:
        sets: Points of every set, each of shape [k, 2] with k at least 1.
        directions: Which way is better, one per objective.
        levels: Shares in percent, above 0 and at most 100.
    """
    signs = _signs(directions)
    total = len(sets)
    corners = moocore.eaf(np.concatenate(sets) * signs, _labels(sets))
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


def _signs(directions: Sequence[Direction]) -> Floats:
    # moocore.eaf knows no maximisation
    return np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])


def _labels(sets: Sequence[Floats]) -> Floats:
    """Return which set every point belongs to, counted from 1."""
    return np.repeat(np.arange(1.0, len(sets) + 1.0), [len(points) for points in sets])
