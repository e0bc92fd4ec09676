"""What published splits of windows share with what is trained on.

Windows that were shuffled before they were dealt to train and test overlap. Results on them look
better than those on sequences apart, so the overlap is counted and said; the split stays as it was
published.
"""

from collections.abc import Sequence

from kdtasks.sensing.deepsense.table import SENSORS, Table

_BEFORE = {"val": ("train",), "test": ("train", "val")}
"""Splits that a split should share nothing with."""


def shared_with_training(table: Table) -> list[str]:
    """Return a line per split that shares frames or sequences with those before it."""
    if table.layout != "windows" or not table.split:
        return []
    windows = [
        (table.split.get(table.sequence[past[-1]], ""), _names(table, (*past, *slots)))
        for past, slots in zip(table.past, table.slots, strict=True)
    ]
    notes = []
    for split, others in _BEFORE.items():
        seen = {name for other, names in windows if other in others for name in names}
        own = [names for name, names in windows if name == split]
        frames = sum(not names.isdisjoint(seen) for names in own)
        sequences = len(table.shared.get(split, ()))
        if frames or sequences:
            notes.append(
                f"leak: {frames} of {len(own)} {split} windows share frames with "
                f"{' or '.join(others)}, {sequences} numbers of sequences stand in both: results "
                f"on {split} are better than on vehicles that were never seen"
            )
    return notes


def _names(table: Table, frames: Sequence[int]) -> frozenset[str]:
    """Return the files of frames; those of positions count where a frame has no other."""
    found: set[str] = set()
    for frame in frames:
        if frame >= 0:
            own = {table.files[kind][frame] for kind in (*SENSORS, "power")} - {""}
            found |= own or {table.files["gps"][frame]} - {""}
    return frozenset(found)
