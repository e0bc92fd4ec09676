"""From the settings of the beam-tracking task to the arrays that it trains on.

Shape suffixes in this file: F = frames, S = pixels along either side, W = windows, T = frames of a
window, M = motion masks, P = neighbouring frames of a window.

Every trial asks for the identity of its data, and a scenario has tens of thousands of files. So
they are looked at once per process, and again when a table changes.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, Progress, ScenarioData
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.baselines import with_ceilings
from kdtasks.sensing.deepsense.camera_masks import motion_masks
from kdtasks.sensing.deepsense.dataset import DeepSenseData
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.sources import Source, Stamp, _stamp, existing, load_source
from kdtasks.sensing.street.dataset import BEAM_TWIN, StreetData


def deepsense_of(settings: BeamSettings) -> DeepSenseData:
    """Return which files a trial reads.

    Raises:
        ConfigError: If there are none, or they lack a sensor.
        DataError: If their tables cannot be read.
    """
    path = existing(settings.data_path)
    has = _sensors(path, _stamp(path))
    if absent := [sensor for sensor in settings.stored if sensor not in has]:
        fitting = [model.name for model in BEAM_MODELS.values() if set(model.sensors) <= set(has)]
        raise ConfigError(
            f"data_path={settings.data_path!r}: no files of {', '.join(absent)}, but sensors, "
            f"model and teacher ask for {' and '.join(settings.stored)}; it has {', '.join(has)}: "
            f"change these three, models for it are {', '.join(fitting) or 'none'}; a study that "
            f"fits is printed by kdsweep data inspect {shlex.quote(settings.data_path)}"
        )
    return DeepSenseData(
        path=settings.data_path,
        sensors=settings.stored,
        image_size=settings.image_size,
        stride=settings.window_stride,
    )


@lru_cache(maxsize=16)
def _sensors(path: Path, _tables: Stamp) -> tuple[str, ...]:
    return open_table(path).inputs


def data_of(settings: BeamSettings) -> Source:
    """Return which data the trial trains on.

    The training split holds the passages of the teacher, those of the student first.

    Raises:
        ConfigError: If there are no such data, or they lack a sensor.
        DataError: If the user's own tables cannot be read.
    """
    if not settings.on_street:
        return deepsense_of(settings)
    street = replace(
        BEAM_TWIN.street,
        seed=settings.data_seed,
        site_seed=settings.site_seed,
        night_share=settings.night_share,
        rain_share=settings.rain_share,
        traffic=settings.distractors,
    )
    seen = max(settings.train_passages, settings.teacher_passages)
    return StreetData(
        twin=replace(BEAM_TWIN, street=street),
        passages=(seen, settings.val_passages, settings.test_passages),
        sensors=tuple(sensor for sensor in settings.stored if sensor != "power"),
        image_size=settings.image_size,
        stride=settings.window_stride,
        tracing=settings.tracing,
    )


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
