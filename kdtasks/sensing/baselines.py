"""References of beam tracking that nothing is searched for.

Shape suffixes in this file: F = frames, W = windows, T = frames of a window or slots, C = beams.

What the street twin itself allows: predictions from the target's true bearing.

No sensor has that bearing, so these are ceilings of what can be learnt from where the target is and
how it moves, beside the noise of the labels. They are no bounds: a network may also learn which of
two neighbouring beams is the stronger one, or that the target brakes.

Shape suffixes in this file: F = frames, W = windows, T = slots, C = beams.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdtasks.contract.params import Value
from kdtasks.contract.task import Arrays, Baseline, ScenarioData, prefixed
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.tensors import as_tensor
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_PAST, NUM_SLOTS
from kdtasks.sensing.beams.metrics import scores_of
from kdtasks.sensing.beams.window_tensors import conditions_of
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.street.dataset import StreetData, build_passages
from kdtasks.sensing.street.radio import RadioConfig, beam_sines
from kdtasks.sensing.street.traffic import Passage

Float = NDArray[np.float64]

NEIGHBOURS = 5
"""Training windows that vote on the beam of a position."""

JUDGED = ("val", "test")
"""Splits that have ceilings."""

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


Scores = NDArray[np.float64]


def baselines_of(facts: Mapping[str, Value], data: ScenarioData) -> list[Baseline]:
    """Return references on validation and test split.

    ``majority beam`` ranks beams by how often they are best in the training split. ``last known
    beam`` ranks them by their powers in the frame before the newest, the last one before slot t0.
    Where the data have positions, ``nearest neighbours`` has the training windows that end nearest
    vote, after Morais and Alkhateeb, "Position Aided Beam Prediction in the Real World", and
    ``GPS line`` extrapolates positions along a line and looks up the beam of the bearing. Names
    with ``(ceiling)`` are those of `beam_ceilings`, which use what no sensor has.

    Args:
        facts: Parameters that they depend on; ``scenario`` is in their names.
        data: The splits.
    """
    often = np.array([_frequency(data.train["label"][:, slot]) for slot in range(NUM_SLOTS)])

    def majority(split: Arrays) -> Scores:
        return np.broadcast_to(often, (len(split["label"]), *often.shape))

    ways = {"majority beam": majority, "last known beam": _last_known}
    if "gps" in data.train:
        bearings = _bearing_of_beams(data.train)
        ways["GPS line"] = lambda split: _gps_line(split, bearings)
        ways["nearest neighbours"] = lambda split: _nearest(split, data.train)
    scores = {
        name: {"val": _score(way(data.val), data.val), "test": _score(way(data.test), data.test)}
        for name, way in ways.items()
    }
    for name, found in data.provenance.get(CEILINGS, {}).items():
        scores[f"{name} (ceiling)"] = found
    return [
        Baseline(
            name=f"{name} {facts['scenario']}",
            params={**facts, "baseline": name},
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


def _last_known(split: Arrays) -> Scores:
    power_WC = np.nan_to_num(split["power"][split["window"][:, NUM_PAST - 2]].astype(np.float64))
    return np.repeat(power_WC[:, None], NUM_SLOTS, axis=1)


def _nearest(split: Arrays, train: Arrays) -> Scores:
    """Return the votes of the `NEIGHBOURS` nearest training windows, [W, T, C].

    Positions are those of the newest frame. A nearer neighbour breaks ties; labels that are not
    known are no votes.
    """
    known_N2, here_W2 = _newest_position(train), _newest_position(split)
    near_WK = np.stack(
        [
            np.argsort(np.linalg.norm(known_N2 - here_2, axis=1), kind="stable")[:NEIGHBOURS]
            for here_2 in here_W2
        ]
    )
    scores_WTC = np.zeros((*split["label"].shape, NUM_BEAMS))
    row_W1, slot_1T = np.arange(len(near_WK))[:, None], np.arange(NUM_SLOTS)
    for rank, near_W in enumerate(near_WK.T):
        label_WT = train["label"][near_W]
        vote_WT = np.where(label_WT == IGNORED, 0.0, 1.0 + 0.1 / (1 + rank))
        np.add.at(scores_WTC, (row_W1, slot_1T, np.maximum(label_WT, 0)), vote_WT)
    return scores_WTC


def _newest_position(split: Arrays) -> Scores:
    newest_W2: Scores = split["gps"][split["window"][:, -1]].astype(np.float64)
    return newest_W2


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
