"""Channels of files, cut into training, validation and test in their own order."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data.channel_files import Channels, SelectedSamples, take
from kdtasks.data.splits import SPLITS, counts_that_fit, split_by_order

_MOST_NAMED = 5


def take_split(
    path: Path,
    found: Channels,
    *,
    shape: tuple[int, int],
    counts: tuple[int, int, int],
    drop: bool,
) -> tuple[dict[str, NDArray[np.complex64]], dict[str, Any]]:
    """Read as many samples as three splits need; no user is in two of them.

    Args:
        path: Where they are, for errors.
        found: What is there.
        shape: Antennas and subcarriers that they must have.
        counts: Samples of train, val and test.
        drop: See `take`.

    Returns:
        Channels by split, shape [N, A, C], and facts for the provenance.

    Raises:
        DataError: If they have another shape, are too few, or `take` raises.
    """
    layout = found.layout
    if (layout.antennas, layout.subcarriers) != shape:
        raise DataError(
            f"{path}: channels of {(layout.antennas, layout.subcarriers)} antennas and "
            f"subcarriers, but the study wants {shape}: "
            f"--set parameters.num_antennas={layout.antennas} "
            f"--set parameters.num_subcarriers={layout.subcarriers}"
        )
    if layout.samples < sum(counts):
        raise DataError(_too_few(path, layout.samples, layout.receive, counts))
    # a user with several receive antennas may be cut at the end of two splits
    taken = take(found, sum(counts) + 2 * (layout.receive - 1), drop=drop)
    chosen = split_by_order(taken.user_N, counts)
    if chosen is None:
        left = f"{path} without the {taken.dropped} that data_drop leaves out" if drop else path
        raise DataError(_too_few(left, len(taken), layout.receive, counts))
    channels = {name: taken.channels_NAC[rows] for name, rows in chosen.items()}
    return channels, _facts(found, taken)


def _too_few(path: Path | str, samples: int, receive: int, counts: tuple[int, int, int]) -> str:
    problem = f"{path}: {samples} samples, but the study wants {sum(counts)}"
    if receive > 1:
        problem += f" and all {receive} receive antennas of a user in the same split"
    fitting = counts_that_fit(samples, receive)
    if fitting is None:
        return f"{problem}: too few to train on, export more users"
    words = (f"parameters.num_{name}={count}" for name, count in zip(SPLITS, fitting, strict=True))
    return " ".join([f"{problem}:", *(f"--set {word}" for word in words)])


def _facts(found: Channels, taken: SelectedSamples) -> dict[str, Any]:
    layout = found.layout
    notes = []
    if taken.dropped:
        notes.append(
            f"{taken.dropped} of {taken.dropped + len(taken)} samples are zero or not finite and "
            "left out (data_drop)"
        )
    if found.skipped:
        few = "; ".join(f"{n} ({held})" for n, held in list(found.skipped.items())[:_MOST_NAMED])
        more = len(found.skipped) - _MOST_NAMED
        notes.append(f"files without channels: {few}" + (f"; {more} more" if more > 0 else ""))
    return {
        "users": layout.users,
        "receive_antennas": layout.receive,
        "dropped_samples": taken.dropped,
        "skipped_files": sorted(found.skipped),
        "notes": notes,
    }
