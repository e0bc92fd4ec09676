"""From the settings of the beam-tracking task to the arrays that it trains on.

Shape suffixes in this file: F = frames, S = pixels along either side, W = windows, T = frames of a
window, M = motion masks, P = neighbouring frames of a window.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.scenarios.camera_masks import motion_masks
from kdtasks.scenarios.splits import SPLITS
from kdtasks.scenarios.street_data import BEAM_TWIN, StreetData
from kdtasks.task import Arrays, Progress, ScenarioData
from kdtasks.tasks.beam_ceilings import with_ceilings
from kdtasks.tasks.beam_own_data import deepsense_of
from kdtasks.tasks.beam_settings import BeamSettings
from kdtasks.tasks.beam_sources import Source, load_source, source_fingerprint


def data_of(settings: BeamSettings) -> Source:
    """Return which data the trial trains on.

    The training split holds the passages of the teacher, those of the student first.

    Raises:
        ConfigError: If there are no such data, or they lack a sensor.
        DataError: If the user's own tables cannot be read.
    """
    if settings.scenario == "deepsense":
        return deepsense_of(settings)
    street = replace(
        BEAM_TWIN.street,
        seed=settings.data_seed,
        night_share=settings.night_share,
        rain_share=settings.rain_share,
        traffic=settings.distractors,
    )
    seen = max(settings.train_passages, settings.teacher_passages)
    return StreetData(
        twin=replace(BEAM_TWIN, street=street),
        passages=(seen, settings.val_passages, settings.test_passages),
        sensors=settings.stored,
        image_size=settings.image_size,
        stride=settings.window_stride,
    )


def fingerprint_of(settings: BeamSettings) -> str:
    """Return the identity of the data that a trial trains on."""
    return source_fingerprint(data_of(settings))


def load_data(settings: BeamSettings, *, cache_dir: Path, progress: Progress) -> ScenarioData:
    """Return the splits of a trial, with motion masks in the place of camera frames.

    Raises:
        DataError: If files cannot be read, or a slot has no label in a whole split.
    """
    data = data_of(settings)
    loaded = load_source(data, cache_dir=cache_dir, progress=progress)
    splits = {name: _masked(getattr(loaded, name)) for name in SPLITS}
    facts = with_ceilings(data, loaded) if isinstance(data, StreetData) else loaded.provenance
    return ScenarioData(**splits, provenance=facts)


def _masked(split: Arrays) -> Arrays:
    if "image" not in split:
        return split
    masks_MSS, index_WP = window_masks(split["image"], split["window"])
    kept: Mapping[str, NDArray[Any]] = {k: v for k, v in split.items() if k != "image"}
    return {**kept, "mask": masks_MSS, "mask_index": index_WP}


def window_masks(
    frames_FSS: NDArray[Any], window_WT: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the motion masks of windows, each pair of frames once, and which each window has.

    Args:
        frames_FSS: Camera frames, as `motion_masks` takes them.
        window_WT: Frames of each window.

    Returns:
        Masks uint8 [M, S, S], and for each window and pair of neighbours in it the mask of what
        moved between them, int32 [W, P].
    """
    pairs_W = np.stack([window_WT[:, :-1], window_WT[:, 1:]], axis=-1).reshape(-1, 2)
    pair_M2, index = np.unique(pairs_W, axis=0, return_inverse=True)
    masks_MSS = np.empty((len(pair_M2), *frames_FSS.shape[1:]), np.uint8)
    # Frames are blurred once in a row of pairs, each of which begins where the last one ended.
    breaks = np.flatnonzero(pair_M2[1:, 0] != pair_M2[:-1, 1]) + 1
    for row in np.split(np.arange(len(pair_M2)), breaks):
        frames = np.append(pair_M2[row, 0], pair_M2[row[-1], 1])
        masks_MSS[row] = motion_masks(frames_FSS[frames])
    return masks_MSS, index.reshape(len(window_WT), -1).astype(np.int32)
