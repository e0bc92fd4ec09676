"""What the street twin itself allows: answers from the target's true bearing.

No sensor has that bearing, so these are ceilings of what can be learnt from where the target is and
how it moves, beside the noise of the labels. They are no bounds: a network may also learn which of
two neighbouring beams is the stronger one, or that the target brakes.

Shape suffixes in this file: F = frames, W = windows, T = slots, C = beams.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdtasks.beam_format import NUM_PAST, NUM_SLOTS
from kdtasks.methods.beam_batches import conditions_of
from kdtasks.methods.beam_job import scores_of
from kdtasks.scenarios.street import Passage
from kdtasks.scenarios.street_data import StreetData, build_passages
from kdtasks.scenarios.street_radio import RadioConfig, beam_sines
from kdtasks.task import Arrays, ScenarioData
from kdtasks.tensors import as_tensor

Float = NDArray[np.float64]

JUDGED = ("val", "test")
"""Splits that ceilings are told of."""

CEILINGS = "ceilings"
"""Their key in a provenance: scores [%] by ceiling and split."""


def with_ceilings(data: StreetData, loaded: ScenarioData) -> dict[str, Any]:
    """Return the provenance of the street with its ceilings.

    ``known angle``: beams by their distance from the sine of the target's true bearing in each
    slot. ``steady turn``: the same of the bearing that the last two past frames extrapolate to at
    a constant angular rate.
    """
    passages = build_passages(data)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for split in JUDGED:
        arrays, sine_F = getattr(loaded, split), true_sines(passages[split])
        for name, sine_WT in (
            ("known angle", known_angle(sine_F, arrays["window"])),
            ("steady turn", steady_turn(sine_F, arrays["window"])),
        ):
            found.setdefault(name, {})[split] = _scores(sine_WT, data.twin.radio, arrays)
    return {**loaded.provenance, CEILINGS: found}


def true_sines(passages: Sequence[Passage]) -> Float:
    """Return the sine of the bearing of the target's antenna in all frames in a row, [F]."""
    return np.concatenate([_sines(passage) for passage in passages])


def _sines(passage: Passage) -> Float:
    away_FD = passage.antenna - passage.mast
    sine_F: Float = away_FD[:, 0] / np.linalg.norm(away_FD, axis=-1)
    return sine_F


def known_angle(sine_F: Float, window_WT: NDArray[Any]) -> Float:
    """Return the true sines of the slots of each window, [W, T]."""
    return sine_F[window_WT[:, -1:] + np.arange(NUM_SLOTS)]


def steady_turn(sine_F: Float, window_WT: NDArray[Any]) -> Float:
    """Return sines at a constant angular rate, that between the last two past frames, [W, T]."""
    angle_F = np.arcsin(sine_F)
    now_W1 = angle_F[window_WT[:, NUM_PAST - 1 :]]
    rate_W1 = now_W1 - angle_F[window_WT[:, NUM_PAST - 2 : -1]]
    sine_WT: Float = np.sin(now_W1 + rate_W1 * np.arange(NUM_SLOTS))
    return sine_WT


def _scores(sine_WT: Float, radio: RadioConfig, arrays: Arrays) -> dict[str, float]:
    away_WTC = np.abs(sine_WT[..., None] - beam_sines(radio))
    return scores_of(torch.from_numpy(-away_WTC), as_tensor(arrays["label"]), conditions_of(arrays))
