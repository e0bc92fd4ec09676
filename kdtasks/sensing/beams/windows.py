"""Windows over beam-tracking sequences, their labels, and splits by sequence.

A sequence, here called a passage, is one vehicle driving by. A window looks back on 8 frames and
predicts the best beam of the newest of them, slot t0, and of the 3 frames after it. No window
crosses passages, and no passage is in two splits.

Shape suffixes in this file: F = frames, B = beams, W = windows, T = frames of a window, or slots.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.splits import SPLITS
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import NUM_PAST, NUM_SLOTS

Int = NDArray[np.int64]

SPAN = NUM_PAST + NUM_SLOTS - 1
"""Frames that a window and its labels need."""


def best_beams(power_FB: NDArray[Any]) -> Int:
    """Return the strongest beam of each frame, from 0, shape [F]; `IGNORED` where all are NaN.

    A NaN never wins. The labels that some DeepSense 6G scenarios ship point at the first one.
    """
    known_FB = np.where(np.isnan(power_FB), -np.inf, power_FB)
    best_F = known_FB.argmax(axis=1).astype(np.int64)
    return np.where(np.isnan(power_FB).all(axis=1), IGNORED, best_F)


def window_starts(num_frames: int, *, strict: bool, stride: int = 1) -> Int:
    """Return the first frames of the windows of a passage.

    Args:
        num_frames: Frames of the passage.
        strict: The rule of the released code, ``start + 11 < num_frames``, which drops the last
            window that would fit; without it the rule is ``<=``.
        stride: Frames from one window to the next.
    """
    if stride < 1:
        raise ConfigError(f"stride must be >= 1, got {stride=}")
    return np.arange(0, max(num_frames - SPAN + (0 if strict else 1), 0), stride)


def make_windows(
    frame_passage_F: NDArray[Any], power_FB: NDArray[Any], *, strict: bool, stride: int = 1
) -> dict[str, NDArray[Any]]:
    """Cut every passage into windows.

    Frames of a passage count in their order, also when others lie between them.

    Args:
        frame_passage_F: Passage of each frame.
        power_FB: Power of each beam, linear; NaN where unknown.
        strict: See `window_starts`.
        stride: See `window_starts`.

    Returns:
        ``window`` int32 [W, 8], frames; ``label`` int64 [W, 4], beams from 0 or `IGNORED`;
        ``passage`` int32 [W]. Passages in the order of their numbers.

    Raises:
        DataError: If there are not as many power vectors as frames.
    """
    if len(frame_passage_F) != len(power_FB):
        raise DataError(f"{len(frame_passage_F)} frames, but {len(power_FB)} power vectors")
    best_F = best_beams(power_FB)
    frames, passages = [np.empty((0, SPAN), np.int64)], [np.empty(0, np.int64)]
    for passage in np.unique(frame_passage_F):
        own = np.flatnonzero(frame_passage_F == passage)
        starts = window_starts(len(own), strict=strict, stride=stride)
        frames.append(own[starts[:, None] + np.arange(SPAN)])
        passages.append(np.full(len(starts), passage))
    frame_WT = np.concatenate(frames)
    return {
        "window": frame_WT[:, :NUM_PAST].astype(np.int32),
        "label": best_F[frame_WT[:, NUM_PAST - 1 :]],
        "passage": np.concatenate(passages).astype(np.int32),
    }


def split_passages(
    passages: Sequence[int] | Int,
    shares: tuple[float, float, float],
    *,
    order: np.random.Generator | None,
) -> dict[str, Int]:
    """Deal passages to train, val and test.

    Args:
        passages: Numbers of passages; repetitions do not count.
        shares: Shares of train, val and test; each split gets at least one passage.
        order: Shuffles them first; None keeps the order of their numbers, as the released code.

    Returns:
        Numbers per split, sorted; none is in two.

    Raises:
        ConfigError: If the shares are not positive or do not add up to 1.
        DataError: If there are fewer than 3 passages.
    """
    if min(shares) <= 0.0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ConfigError(f"shares of train, val and test must be > 0 and add up to 1, {shares=}")
    numbers = np.unique(np.asarray(passages, np.int64))
    if len(numbers) < len(SPLITS):
        raise DataError(
            f"{len(numbers)} sequences; a split by sequence needs at least {len(SPLITS)}"
        )
    if order is not None:
        numbers = order.permutation(numbers)
    # 1e-9: 0.7 + 0.1 is a little below 0.8, and 10 passages times it must be 8.
    first = int(len(numbers) * shares[0] + 1e-9)
    second = int(len(numbers) * (shares[0] + shares[1]) + 1e-9)
    first = min(max(first, 1), len(numbers) - 2)
    second = min(max(second, first + 1), len(numbers) - 1)
    parts = (numbers[:first], numbers[first:second], numbers[second:])
    return {name: np.sort(part) for name, part in zip(SPLITS, parts, strict=True)}
