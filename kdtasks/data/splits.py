"""Splits by position: whole squares of the site go to training, validation or test.

Neighbouring users see nearly the same channel. A shuffled split would put such twins on both
sides and test memory instead of learning.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.learning.random import numpy_generator

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitPlan:
    """How positions are split.

    Attributes:
        cell_m: Side of the squares [m].
        counts: Samples of train, val and test.
        seed: Seed of the draw of squares.
    """

    cell_m: float
    counts: tuple[int, int, int]
    seed: int

    @property
    def total(self) -> int:
        """Samples of all splits."""
        return sum(self.counts)


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
    squares_ND = np.floor(positions_ND / plan.cell_m).astype(np.int64)
    names, member_N = np.unique(squares_ND, axis=0, return_inverse=True)
    member_N = member_N.ravel()
    if len(names) < len(SPLITS):
        raise DataError(
            f"positions fall into {len(names)} squares of {plan.cell_m:g} m; a split by position "
            "needs at least 3: take smaller squares (cell_m) or a larger area"
        )
    order = numpy_generator(plan.seed, "split").permutation(len(names))
    size_S = np.bincount(member_N, minlength=len(names))[order]
    edges = np.cumsum(size_S)
    need = dict(zip(SPLITS, plan.counts, strict=True))
    after_test = int(np.searchsorted(edges, need["test"])) + 1
    rest = edges - edges[min(after_test, len(edges)) - 1]
    after_val = max(int(np.searchsorted(rest, need["val"])) + 1, after_test + 1)
    share = {
        "test": order[:after_test],
        "val": order[after_test:after_val],
        "train": order[after_val:],
    }
    chosen = {name: np.flatnonzero(np.isin(member_N, share[name]))[: need[name]] for name in SPLITS}
    for name in SPLITS:
        if len(chosen[name]) < need[name]:
            raise DataError(
                f"only {len(chosen[name])} of {need[name]} {name} samples lie in squares of their "
                "own: draw more positions or take smaller squares (cell_m)"
            )
    return chosen


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
        name: np.unique(np.floor(positions_ND[index] / plan.cell_m).astype(np.int64), axis=0)
        for name, index in chosen.items()
    }
    return {
        "by": "position",
        "cell_m": plan.cell_m,
        "seed": plan.seed,
        "samples": {name: len(index) for name, index in chosen.items()},
        "squares": {name: cells.tolist() for name, cells in squares.items()},
    }
