"""References of beam tracking that nothing is searched for.

Shape suffixes in this file: F = frames, W = windows, T = frames of a window or slots, C = beams.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdtasks.beam_format import IGNORED, NUM_BEAMS, NUM_PAST, NUM_SLOTS
from kdtasks.config import Value
from kdtasks.methods.beam_batches import conditions_of
from kdtasks.methods.beam_job import scores_of
from kdtasks.scenarios.beam_windows import best_beams
from kdtasks.task import Arrays, Baseline, ScenarioData, prefixed
from kdtasks.tasks.beam_ceilings import CEILINGS
from kdtasks.tensors import as_tensor

Scores = NDArray[np.float64]


def baselines_of(facts: Mapping[str, Value], data: ScenarioData) -> list[Baseline]:
    """Return references on validation and test split.

    ``majority beam`` ranks beams by how often they are best in the training split. ``last sweep``
    ranks them by their powers in the frame before the newest: it measures all beams, which no
    network here may. ``GPS line``, where the data have positions, extrapolates them along a line
    and looks up the beam of the bearing. Names with ``(ceiling)`` are those of `beam_ceilings`,
    which use what no sensor has.

    Args:
        facts: Parameters that they depend on; ``scenario`` is in their names.
        data: The splits.
    """
    often = np.array([_frequency(data.train["label"][:, slot]) for slot in range(NUM_SLOTS)])

    def majority(split: Arrays) -> Scores:
        return np.broadcast_to(often, (len(split["label"]), *often.shape))

    ways = {"majority beam": majority, "last sweep": _last_sweep}
    if "gps" in data.train:
        bearings = _bearing_of_beams(data.train)
        ways["GPS line"] = lambda split: _gps_line(split, bearings)
    scores = {
        name: {"val": _score(way(data.val), data.val), "test": _score(way(data.test), data.test)}
        for name, way in ways.items()
    }
    for name, found in data.provenance.get(CEILINGS, {}).items():
        scores[f"{name} (ceiling)"] = found
    return [
        Baseline(
            name=f"{name} {facts['scenario']}",
            params=facts,
            metrics={**prefixed("val", found["val"]), **prefixed("test", found["test"])},
        )
        for name, found in scores.items()
    ]


def _score(scores_WTC: Scores, split: Arrays) -> dict[str, float]:
    logits = torch.from_numpy(np.ascontiguousarray(scores_WTC))
    return scores_of(logits, as_tensor(split["label"]), conditions_of(split))


def _frequency(beams: NDArray[Any]) -> Scores:
    counts: Scores = np.bincount(beams[beams != IGNORED], minlength=NUM_BEAMS).astype(np.float64)
    return counts


def _last_sweep(split: Arrays) -> Scores:
    power_WC = np.nan_to_num(split["power"][split["window"][:, NUM_PAST - 2]].astype(np.float64))
    return np.repeat(power_WC[:, None], NUM_SLOTS, axis=1)


def _bearing(position: NDArray[Any]) -> Scores:
    """Return the sine of the bearing of positions, [...]."""
    place = position.astype(np.float64)
    sine: Scores = place[..., 0] / np.maximum(np.linalg.norm(place, axis=-1), 1e-9)
    return sine


def _bearing_of_beams(train: Arrays) -> Scores:
    """Return the mean sine of the bearing in frames where a beam is best, [C].

    Beams that are never best are interpolated from their neighbours.
    """
    best_F, bearing_F = best_beams(train["power"]), _bearing(train["gps"])
    known = best_F != IGNORED
    count_C = _frequency(best_F)
    sum_C = np.bincount(best_F[known], weights=bearing_F[known], minlength=NUM_BEAMS)
    seen = np.flatnonzero(count_C)
    return np.interp(np.arange(NUM_BEAMS), seen, sum_C[seen] / count_C[seen])


def _gps_line(split: Arrays, bearing_C: Scores) -> Scores:
    """Return minus the distance of beams from the bearing on a line of least squares, [W, T, C]."""
    past, slots = np.arange(NUM_PAST), NUM_PAST - 1 + np.arange(NUM_SLOTS)
    design = np.stack([np.ones(NUM_PAST), past], axis=1)
    at_slots = np.stack([np.ones(NUM_SLOTS), slots], axis=1)
    line_ST = at_slots @ np.linalg.pinv(design)
    place_WT2 = np.einsum("st,wtd->wsd", line_ST, split["gps"][split["window"]])
    return -np.abs(_bearing(place_WT2)[..., None] - bearing_C)
