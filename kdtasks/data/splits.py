"""Splits by position: whole squares of the site go to training, validation or test.

Neighbouring users see nearly the same channel. A shuffled split would put such twins on both
sides and test memory instead of learning.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.learning.random import numpy_generator

SPLITS = ("train", "val", "test")

SPARE = 1.25
"""Positions drawn per position needed: whole squares never fill the splits exactly."""

GUARDED_CELL = 4.0
"""Least side of a square over the guard, so that a quarter of it is out of reach of others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitPlan:
    """How positions are split.

    Attributes:
        cell_m: Side of the squares [m].
        counts: Samples of train, val and test.
        seed: Seed of the draw of squares.
        guard_m: Least distance of samples of val and test from those of train [m]. Squares become
            `GUARDED_CELL` times that, if they are smaller.
    """

    cell_m: float
    counts: tuple[int, int, int]
    seed: int
    guard_m: float = 0.0

    @property
    def total(self) -> int:
        """Samples of all splits."""
        return sum(self.counts)

    @property
    def side_m(self) -> float:
        """Side of the squares [m]."""
        return max(self.cell_m, GUARDED_CELL * self.guard_m)

    @property
    def needed(self) -> dict[str, int]:
        """Positions that squares of each split must hold, as many as the guard takes away."""
        kept = (1.0 - 2.0 * self.guard_m / self.side_m) ** 2
        train, val, test = self.counts
        return {"train": train, "val": math.ceil(val / kept), "test": math.ceil(test / kept)}

    @property
    def to_draw(self) -> int:
        """Positions to draw for the splits."""
        return int(SPARE * sum(self.needed.values()))


def split_by_position(
    positions_ND: NDArray[np.float64], plan: SplitPlan
) -> dict[str, NDArray[np.int64]]:
    """Return sample indices per split; no square of the site is in two splits.

    Squares are drawn in random order and dealt to test, val and train until each has enough
    samples; what a split has too many of is left out.

    Args:
        positions_ND: Positions [m], shape [N, 2] with N somewhat above ``plan.total``.
        plan: How to split.

    Raises:
        DataError: If there are too few positions, or too few squares to choose from.
    """
    squares_ND = np.floor(positions_ND / plan.side_m).astype(np.int64)
    names, member_N = np.unique(squares_ND, axis=0, return_inverse=True)
    member_N = member_N.ravel()
    if len(names) < len(SPLITS):
        raise DataError(
            f"positions fall into {len(names)} squares of {plan.side_m:g} m; a split by position "
            "needs at least 3: take smaller squares (cell_m, guard_m) or a larger area"
        )
    order = numpy_generator(plan.seed, "split").permutation(len(names))
    size_S = np.bincount(member_N, minlength=len(names))[order]
    edges = np.cumsum(size_S)
    need = plan.needed
    after_test = int(np.searchsorted(edges, need["test"])) + 1
    rest = edges - edges[min(after_test, len(edges)) - 1]
    after_val = max(int(np.searchsorted(rest, need["val"])) + 1, after_test + 1)
    share = {
        "test": order[:after_test],
        "val": order[after_test:after_val],
        "train": order[after_val:],
    }
    chosen: dict[str, NDArray[np.int64]] = {}
    for name, count in zip(SPLITS, plan.counts, strict=True):
        own_N = np.flatnonzero(np.isin(member_N, share[name]))
        if plan.guard_m and chosen:  # train is the first
            far_N = _nearest_m(positions_ND[own_N], positions_ND[chosen["train"]]) > plan.guard_m
            own_N = own_N[far_N]
        if len(own_N) < count:
            raise DataError(
                f"only {len(own_N)} of {count} {name} samples lie in squares of their own: draw "
                "more positions or take smaller squares (cell_m, guard_m)"
            )
        chosen[name] = own_N[:count]
    return chosen


def share_within(
    distance_m: float, positions_ND: NDArray[np.floating], others_ND: NDArray[np.floating]
) -> float:
    """Return the share of positions with one of the others within a distance [m]."""
    return float((_nearest_m(positions_ND, others_ND) <= distance_m).mean())


def nearest_rows(
    positions_ND: NDArray[np.floating], others_ND: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Return for each position the row of the nearest of the others."""
    return np.asarray(_query(positions_ND, others_ND)[1])


def _nearest_m(
    positions_ND: NDArray[np.floating], others_ND: NDArray[np.floating]
) -> NDArray[np.float64]:
    return np.asarray(_query(positions_ND, others_ND)[0])


def _query(positions_ND: NDArray[np.floating], others_ND: NDArray[np.floating]) -> Any:
    from scipy.spatial import cKDTree  # 0.2 s, which processes that train do not need

    return cKDTree(others_ND).query(positions_ND)


def split_by_order(
    user_N: NDArray[np.int64], counts: tuple[int, int, int]
) -> dict[str, slice] | None:
    """Cut samples in blocks, train first; no user is in two of them.

    Neighbours on a track stay together; samples of a user that would be cut are left out.

    Args:
        user_N: The user of each sample, ascending.
        counts: Samples of train, val and test.

    Returns:
        The samples of each split; None if there are too few.
    """
    found, start = {}, 0
    for name, count in zip(SPLITS, counts, strict=True):
        stop = start + count
        if stop > len(user_N):
            return None
        found[name] = slice(start, stop)
        start = int(np.searchsorted(user_N, user_N[stop - 1], side="right"))
    return found


def order_by_blocks(
    position_ND: NDArray[np.floating], block_m: float, *, seed: int
) -> NDArray[np.int64]:
    """Return an order of users in which squares of the map follow each other at random.

    Channels that are stored in it are split by place, for files are cut in their order: neighbours
    are in different splits at the two squares that are cut alone.

    Args:
        position_ND: Positions [m], shape [N, 2 or 3]; the first two axes count.
        block_m: Side of the squares [m].
        seed: Seed of their order.
    """
    squares = np.floor(np.asarray(position_ND)[:, :2] / block_m)
    _, square_N = np.unique(squares, axis=0, return_inverse=True)
    place = numpy_generator(seed, "order of squares").permutation(int(square_N.max()) + 1)
    return np.argsort(place[square_N.ravel()], kind="stable").astype(np.int64)


def counts_that_fit(samples: int, receive: int = 1) -> tuple[int, int, int] | None:
    """Return samples of train, val and test of about 70, 15 and 15 %; None if there are too few.

    Args:
        samples: How many there are.
        receive: How many of these belong to one user.
    """
    held_out = 3 * (samples // receive) // 20 or 1
    train = samples // receive - 2 * held_out
    fits = train * receive > 1  # a batch has two samples or more
    return (train * receive, held_out * receive, held_out * receive) if fits else None


def manifest(
    positions_ND: NDArray[np.float64], plan: SplitPlan, chosen: dict[str, NDArray[np.int64]]
) -> dict[str, object]:
    """Return the JSON record of a split: which squares, how many samples."""
    squares = {
        name: np.unique(np.floor(positions_ND[index] / plan.side_m).astype(np.int64), axis=0)
        for name, index in chosen.items()
    }
    return {
        "by": "position",
        "cell_m": plan.side_m,
        **({"guard_m": plan.guard_m} if plan.guard_m else {}),
        "seed": plan.seed,
        "samples": {name: len(index) for name, index in chosen.items()},
        "squares": {name: cells.tolist() for name, cells in squares.items()},
    }
