"""What is wrong with DeepSense 6G data as a whole, and how defects are described.

Shape suffixes in this file: F = frames, B = beams.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.windows import SPAN, best_beams
from kdtasks.sensing.deepsense.table import Defect, Table

MOST_NAMED = 5
"""Defects of a kind that are named in a line."""

MOST_LISTED = 100
"""Defects of a kind that are named in a provenance."""


def short_sequences(table: Table, *, strict: bool) -> list[Defect]:
    """Return the sequences of a table of frames that are too short for a window.

    Args:
        table: Where the sequences are.
        strict: See `beam_windows.window_starts`.
    """
    if table.layout == "windows":
        return []
    need = SPAN + (1 if strict else 0)
    return [
        Defect(
            kind="short sequence",
            where=f"sequence {sequence}",
            detail=f"{count} frames, a window needs {need}",
        )
        for sequence, count in sorted(Counter(table.sequence).items())
        if count < need
    ]


def check_labels(table: Table, power_FB: NDArray[Any]) -> tuple[str, list[Defect]]:
    """Describe what the column of labels counts from, and where it is wrong.

    Nothing is trained on that column: it can only show that files and table do not belong together.
    """
    best_F = best_beams(power_FB)
    labelled = [
        (frame, label, int(best_F[frame]))
        for frame, label in enumerate(table.label)
        if label is not None and best_F[frame] != IGNORED
    ]
    if not labelled:
        return "", []
    hits = {first: sum(label - first == best for _, label, best in labelled) for first in (1, 0)}
    first = max(hits, key=lambda base: hits[base])
    defects = [
        Defect(
            kind="label column disagrees",
            where=table.places[frame],
            detail=f"its value is {label}, the strongest beam is {best + first} counted alike"
            + (" (its power file has NaN)" if np.isnan(power_FB[frame]).any() else ""),
        )
        for frame, label, best in labelled
        if label - first != best
    ]
    column = table.columns["label"]
    return (
        f"{column} counts from {first}, right in {hits[first]} of {len(labelled)} frames; beams "
        "are taken from the powers",
        defects,
    )


def by_kind(defects: Sequence[Defect]) -> dict[str, list[Defect]]:
    """Return defects by kind, the most frequent one first."""
    counts = Counter(defect.kind for defect in defects)
    return {
        kind: [defect for defect in defects if defect.kind == kind]
        for kind, _ in counts.most_common()
    }


def described(defects: Sequence[Defect]) -> list[str]:
    """Return a line per kind of defects, with how many there are and the first of them by name."""
    return [
        f"{len(found)} x {kind}: {', '.join(defect.where for defect in found[:MOST_NAMED])}"
        + (f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")
        for kind, found in by_kind(defects).items()
    ]


def listed(defects: Sequence[Defect]) -> Mapping[str, Any]:
    """Return for each kind how many defects there are, and the first hundred by name, as JSON."""
    return {
        kind: {"count": len(found), "where": [defect.where for defect in found[:MOST_LISTED]]}
        for kind, found in by_kind(defects).items()
    }
