"""What the task makes of a scenario's arrays."""

import itertools

import numpy as np
import pytest
from beam_trials import TASK, tiny
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.beam_tracking.data import data_of, window_masks
from kdtasks.beam_tracking.settings import resolve
from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing import sources as beam_sources
from kdtasks.sensing.deepsense.camera_masks import motion_masks
from kdtasks.sensing.street.dataset import BEAM_TWIN

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 8)).astype(np.uint8)


@given(st.lists(st.lists(st.integers(0, 8), min_size=4, max_size=4), min_size=1, max_size=12))
def test_masks_are_those_of_neighbours_in_a_window_each_pair_once(windows):
    # Also for windows that repeat a frame or jump back, as those of the 2022 challenge may.
    window = np.array(windows, np.int32)
    masks, index = window_masks(PIXELS, window)
    pairs = {(a, b) for row in windows for a, b in itertools.pairwise(row)}
    assert len(masks) == len(pairs)
    for frames, own in zip(window, index, strict=True):
        np.testing.assert_array_equal(masks[own], motion_masks(PIXELS[frames]))


def test_camera_frames_do_not_reach_the_trials(beam_data_tiny):
    for split in (beam_data_tiny.train, beam_data_tiny.val, beam_data_tiny.test):
        assert "image" not in split
        assert split["mask"].dtype == np.uint8
        assert set(np.unique(split["mask"])) == {0, 1}
        assert split["mask_index"].shape == (len(split["window"]), 7)


def test_the_twin_is_as_the_settings_state():
    params = tiny(distractors=0.0, night_share=0.5, rain_share=0.25, data_seed=7, sensors="image")
    data = data_of(resolve(params))
    street = data.twin.street
    assert (street.traffic, street.night_share, street.rain_share, street.seed) == (0, 0.5, 0.25, 7)
    assert (data.passages, data.image_size, data.stride) == ((6, 3, 3), 32, 2)
    same = resolve(tiny(distractors=BEAM_TWIN.street.traffic))
    assert data_of(same).twin == BEAM_TWIN


def test_a_teachers_passages_come_after_those_of_its_student(tmp_path, beam_data_tiny):
    params = tiny(teacher_passages=8, method="response")
    more = TASK.load_scenario(params, cache_dir=tmp_path, progress=lambda *_: None)
    count = len(beam_data_tiny.train["label"])
    assert len(np.unique(more.train["passage"])) == 8
    np.testing.assert_array_equal(more.train["label"][:count], beam_data_tiny.train["label"])
    np.testing.assert_array_equal(more.val["label"], beam_data_tiny.val["label"])


def test_a_slot_that_nobody_knows_is_named(tmp_path, monkeypatch, beam_data_tiny):
    label = beam_data_tiny.val["label"].copy()
    label[:, 2] = IGNORED
    blind = {**beam_data_tiny.val, "label": label}
    loaded = type(beam_data_tiny)(
        train=beam_data_tiny.train, val=blind, test=beam_data_tiny.test, provenance={"a": 1}
    )
    monkeypatch.setattr(beam_sources, "load_street", lambda *_, **__: loaded)
    with pytest.raises(DataError, match="val split has no label for slot t2"):
        TASK.load_scenario(tiny(), cache_dir=tmp_path, progress=lambda *_: None)


def test_files_that_are_not_there_are_named(tmp_path):
    params = {"scenario": "deepsense", "data_path": str(tmp_path / "none")}
    with pytest.raises(ConfigError, match=r"data_path=.*none'"):
        TASK.complete(params)
