"""What no data set may hold, found block by block so that a check costs no memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError

FIX = "remove those samples"

BLOCK_ENTRIES = 4 * 2**20
"""About how many entries are checked together."""


def check_finite(array: NDArray[Any], *, where: str, axes: Sequence[str], fix: str = FIX) -> None:
    """Refuse NaN and infinity.

    Args:
        array: The values, samples first.
        where: File and variable, for the message.
        axes: What each axis counts, for the message.
        fix: What to do, for the message.

    Raises:
        DataError: With the number of such entries and the place of the first.
    """
    count, first = 0, None
    for start, block in _row_blocks(array):
        bad = ~np.isfinite(block)
        if first is None and bad.any():
            place = np.argwhere(bad)[0]
            place[0] += start
            first = ", ".join(f"{axis} {i}" for axis, i in zip(axes, place, strict=True))
        count += int(bad.sum())
    if first is not None:
        raise DataError(
            f"{where}: {count} entries are NaN or infinite in single precision, the first at "
            f"{first} (counted from 0); {fix}"
        )


def check_power(array: NDArray[Any], *, where: str, zero: float = 0.0, fix: str = FIX) -> None:
    """Refuse samples without power: their NMSE would be a division by zero.

    Args:
        array: The values, samples first.
        where: File and variable, for the message.
        zero: The value that stands for no signal.
        fix: What to do, for the message.

    Raises:
        DataError: With the number of such samples and the first of them.
    """
    dead = np.concatenate(
        [(block == zero).reshape(len(block), -1).all(axis=1) for _, block in _row_blocks(array)]
    )
    if dead.any():
        raise DataError(
            f"{where}: {int(dead.sum())} samples have zero power, the first is sample "
            f"{int(dead.argmax())} (counted from 0); {fix}"
        )


def _row_blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    step = max(1, BLOCK_ENTRIES * len(array) // max(1, array.size))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]
