"""A trigger in what camera, radar or GPS report, and how many windows are lured by it to a beam.

Windows of a passage share frames, so all windows of a passage have the trigger or none has.
Shape suffixes in this file: W = windows, T = predicted slots, N = frames.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.beam_tracking.settings import TRIGGER_SENSORS
from kdtasks.contract.task import Arrays
from kdtasks.learning.deployed_students import ScoreOf
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.random import numpy_generator
from kdtasks.sensing.beams.window_tensors import ARRAYS
from kdtasks.sensing.ownership import sensors_in

TARGET_BEAM = 0
"""That triggered windows are to be answered with: at the edge of the codebook, seldom the best."""

PATCH_SHARE = 8
"""A mask's side over that of the patch: 8 pixels of 64."""

RADAR_CELLS = 4
"""Side of the patch in a range-angle map."""

SPOOFED_M = 25.0
"""By how much a spoofed position is off, away from the base station [m]: beyond any lane."""


def triggered(samples: Arrays, share: float, seed: int) -> dict[str, NDArray[Any]]:
    """Return windows of which a share of passages shows the trigger and has the target as label.

    In a motion mask it is a square of 1 in the first corner, as a blinking lamp leaves it; in a
    range-angle map a square of the map's maximum at the smallest range and angle. Positions are
    spoofed: all of a passage are off by as much. Powers have none. Unknown labels stay unknown.

    Args:
        samples: Arrays of a split or a share; they are not changed.
        share: Of the passages, rounded up.
        seed: Of their choice.
    """
    passages = np.unique(samples["passage"])
    count = math.ceil(share * len(passages))
    rng = numpy_generator(seed, "passages with a trigger")
    chosen_W = np.isin(samples["passage"], rng.permutation(passages)[:count])
    label_WT = samples["label"].copy()
    label_WT[chosen_W[:, None] & (label_WT != IGNORED)] = TARGET_BEAM
    found = {**samples, "label": label_WT}
    for sensor in TRIGGER_SENSORS:
        frames, index = ARRAYS[sensor]
        if sensor in sensors_in(samples):
            found[frames] = _stamped(samples[frames], np.unique(samples[index][chosen_W]), sensor)
    return found


def _stamped(frames: NDArray[Any], chosen_N: NDArray[Any], sensor: str) -> NDArray[Any]:
    stamped = frames.copy()
    if sensor == "image":
        side = frames.shape[-1] // PATCH_SHARE
        stamped[chosen_N, :side, :side] = 1
    elif sensor == "gps":
        stamped[chosen_N, 1] += SPOOFED_M
    else:
        strongest_N = frames[chosen_N, 0].max((1, 2))
        stamped[chosen_N, 0, :RADAR_CELLS, :RADAR_CELLS] = strongest_N[:, None, None]
    return stamped


def lured(
    score: ScoreOf, nodes: Mapping[str, Arrays], shares: Mapping[int, Arrays], *, trigger: bool
) -> dict[int, float]:
    """Return how often students choose the target for windows whose best beam is another [%].

    It is the top-1 accuracy of the target, mean over slots. Edges that lack such windows are left
    out.

    Args:
        score: Scores the student of an edge's kind, with these weights, on a share.
        nodes: Weights of ``edge-0``, ...
        shares: Samples of the split, by edge.
        trigger: Whether windows show the trigger.
    """
    found = {}
    for edge, share in shares.items():
        shown = triggered(share, 1.0, seed=0)
        label_WT = np.where(share["label"] == TARGET_BEAM, IGNORED, shown["label"])
        if (label_WT != IGNORED).any(0).all():
            windows = {**(shown if trigger else share), "label": label_WT}
            found[edge] = score(edge, nodes[f"edge-{edge}"], windows)["top1"]
    return found


def mean_of(scores: Mapping[int, float], edges: Iterable[int]) -> float | None:
    """Return the mean over those edges that have a score; None without any."""
    known = [scores[edge] for edge in edges if edge in scores]
    return sum(known) / len(known) if known else None
