"""Which windows of a DeepSense 6G table can be used, and which split each sequence goes to.

Shape suffixes in this file: F = frames, B = beams, W = windows, T = frames of a window, or slots.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.splits import SPLITS
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import NUM_PAST, NUM_SLOTS, SCENE_STEP
from kdtasks.sensing.beams.windows import best_beams, make_windows, split_passages
from kdtasks.sensing.deepsense.table import Table

SHARES = (0.7, 0.1, 0.2)
"""Train, val and test by default: test is that of the paper at p = 0.8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """Windows of a table that can be trained on, and how many cannot.

    Attributes:
        window: Frames of the table, int32 (W, 8).
        label: Beams from 0, or `IGNORED`, int64 (W, 4).
        passage: Sequence of each window, int32 (W,).
        without_sensor: Windows left out because a past frame lacks a sensor's data.
        without_label: Windows left out because no slot has a known beam.
    """

    window: NDArray[np.int32]
    label: NDArray[np.int64]
    passage: NDArray[np.int32]
    without_sensor: int
    without_label: int


def usable_windows(
    table: Table,
    power_FB: NDArray[Any],
    usable_F: NDArray[np.bool_],
    *,
    strict: bool,
    stride: int,
) -> Windows:
    """Return the windows of a table.

    Args:
        table: Where frames and, in tables of windows, windows come from.
        power_FB: Powers of the beams; NaN where unknown.
        usable_F: Whether every sensor's data of a frame are there.
        strict: Rule for tables of frames, see `beam_windows.window_starts`.
        stride: Windows of a sequence from one that is kept to the next; of windows that tables
            publish as val or test all are kept.
    """
    if table.layout == "frames":
        cut = make_windows(table.sequence_of_frames(), power_FB, strict=strict, stride=stride)
    else:
        cut = _windows_of_rows(table, power_FB, stride)
    seen_W = usable_F[cut["window"]].all(axis=1)
    labelled_W = (cut["label"] != IGNORED).any(axis=1)
    kept_W = seen_W & labelled_W
    return Windows(
        window=cut["window"][kept_W],
        label=cut["label"][kept_W],
        passage=cut["passage"][kept_W],
        without_sensor=int((~seen_W).sum()),
        without_label=int((seen_W & ~labelled_W).sum()),
    )


def _windows_of_rows(table: Table, power_FB: NDArray[Any], stride: int) -> dict[str, NDArray[Any]]:
    window_WT = np.array(table.past, np.int32).reshape(-1, NUM_PAST)
    slot_WT = np.array(table.slots, np.int64).reshape(-1, NUM_SLOTS)
    label_WT = np.where(slot_WT < 0, IGNORED, best_beams(power_FB)[slot_WT])
    passage_W = table.sequence_of_frames()[window_WT[:, -1]]
    kept = [
        np.flatnonzero(passage_W == passage)[:: _stride_of(table, int(passage), stride)]
        for passage in np.unique(passage_W)
    ]
    order = np.concatenate(kept)
    return {"window": window_WT[order], "label": label_WT[order], "passage": passage_W[order]}


def _stride_of(table: Table, passage: int, stride: int) -> int:
    return 1 if table.split.get(passage) in ("val", "test") else stride


def split_sequences(
    table: Table, shares: tuple[float, float, float] | None
) -> dict[str, NDArray[np.int64]]:
    """Return the sequences of train, val and test.

    Args:
        table: If it gives the split of every sequence, that holds; val and test, if it
            does not name them, are the end of train.
        shares: Shares where the table has none; sequences keep their order.

    Raises:
        DataError: If there are too few sequences, or the table knows of some splits only.
    """
    numbers = np.unique(table.sequence_of_frames()).astype(np.int64)
    shares = shares or SHARES
    if not table.split:
        # Of several scenarios each is split on its own.
        scene_Q = numbers // SCENE_STEP * (len(table.sources) > 1)
        parts = [
            split_passages(numbers[scene_Q == scene], shares, order=None)
            for scene in np.unique(scene_Q)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in SPLITS}
    unsaid = [int(number) for number in numbers if int(number) not in table.split]
    if unsaid:
        raise DataError(
            f"{_names(table)}: no split for {len(unsaid)} sequences, the first is {unsaid[0]}; "
            "fill the column split, or give shares"
        )
    by_split = {
        name: np.array([n for n in numbers if table.split[int(n)] == name], np.int64)
        for name in SPLITS
    }
    # Never on test: what is validated on comes out of train.
    if not len(by_split["test"]):
        _cut_from_train(by_split, "test", shares[2])
    if not len(by_split["val"]):
        _cut_from_train(by_split, "val", shares[1] / (shares[0] + shares[1]))
    empty = [name for name, found in by_split.items() if not len(found)]
    if empty:
        raise DataError(
            f"{_names(table)}: no sequence for {', '.join(empty)}, and {len(by_split['train'])} "
            "left for train; give a table with more sequences, or one for each split"
        )
    return by_split


def _cut_from_train(by_split: dict[str, NDArray[np.int64]], name: str, share: float) -> None:
    train = by_split["train"]
    if len(train) > 1:
        held = max(1, round(share * len(train)))
        by_split["train"], by_split[name] = train[:-held], train[-held:]


def by_split(
    windows: Windows, sequences: Mapping[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.bool_]]:
    """Return which windows are in each split."""
    return {name: np.isin(windows.passage, found) for name, found in sequences.items()}


def _names(table: Table) -> str:
    return ", ".join(str(source) for source in table.sources)
