"""Frames that windows share go through a network once, and every window is trained on as often."""

import numpy as np
import pytest
import torch
from beam_examples import built
from beam_trials import TASK, tiny
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.beam_tracking.data import data_of
from kdtasks.beam_tracking.methods.batches import CHUNK, Chunks, windows_of
from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.beam_tracking.settings import resolve
from kdtasks.data.splits import SPLITS
from kdtasks.learning.random import torch_generator
from kdtasks.sensing.beams.format import NUM_STEPS
from kdtasks.sensing.beams.window_tensors import conditions_of
from kdtasks.sensing.deepsense.camera_masks import motion_masks
from kdtasks.sensing.street.dataset import load_street

RADAR = {"train_passages": 2, "val_passages": 1, "test_passages": 1}
SENSORS = "image radar gps power"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("street")


@pytest.fixture(scope="module")
def all_sensors(cache):
    """The same data with camera frames, and as the task gives them."""
    params = tiny(**RADAR, sensors=SENSORS)
    frames = load_street(data_of(resolve(params)), cache_dir=cache, progress=lambda *_: None)
    return frames, TASK.load_scenario(params, cache_dir=cache, progress=lambda *_: None)


def whole_window(split, number):
    """Return one window as the paper describes it: 7 masks and 3 empty ones, 8 maps and 2.

    Its powers are those before the newest frame, of which slot t0 is the strongest beam.
    """
    frames = split["window"][number]
    image = np.zeros((NUM_STEPS, 1, *split["image"].shape[1:]), np.float32)
    image[:7, 0] = motion_masks(split["image"][frames])
    radar = np.zeros((NUM_STEPS, 2, 128, 64), np.float32)
    radar[:8] = split["radar"][frames]
    gps = np.zeros((NUM_STEPS, 2), np.float32)
    gps[:8] = split["gps"][frames]
    power = np.zeros((NUM_STEPS, 64), np.float32)
    power[:7] = split["power"][frames[:-1]]
    return {"image": image, "radar": radar, "gps": gps, "power": power}


def test_gathered_windows_are_whole_windows_sensor_by_sensor(all_sensors):
    frames, data = all_sensors
    for name in SPLITS:
        split = getattr(frames, name)
        windows = windows_of(getattr(data, name), SENSORS.split())
        chosen = torch.randperm(len(windows), generator=torch_generator(0, name))[:9]
        distinct, index = windows.gathered(chosen)
        for place, number in enumerate(chosen.tolist()):
            for sensor, expected in whole_window(split, number).items():
                ours = distinct[sensor][index[sensor][place]]
                torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=0.0, atol=0.0)


def test_no_frame_is_run_twice(all_sensors):
    _, data = all_sensors
    windows = windows_of(data.train, ("image", "radar"))
    distinct, _ = windows.gathered(torch.arange(CHUNK))
    stride = tiny()["window_stride"]
    assert len(distinct["radar"]) == 8 + (CHUNK - 1) * stride + 1  # and the zero frame
    assert len(distinct["image"]) == 7 + (CHUNK - 1) * stride + 1
    assert not distinct["image"][-1].any()


@pytest.mark.parametrize("name", ["image-student", "image-radar-teacher", "gps-power-student"])
def test_a_network_states_the_same_of_gathered_and_of_whole_windows(all_sensors, name):
    frames, data = all_sensors
    network = built(BEAM_MODELS[name], image_size=32).eval()
    windows = windows_of(data.val, network.sensors)
    chosen = torch.tensor([3, 0, 1, 3])
    whole = [whole_window(frames.val, number) for number in chosen.tolist()]
    inputs = [torch.from_numpy(np.stack([w[s] for w in whole])) for s in network.sensors]
    with torch.no_grad():
        gathered, expected = network.gathered(*windows.gathered(chosen)), network(*inputs)
    for ours, theirs in zip(gathered, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_first_passages_are_the_first_windows(all_sensors):
    _, data = all_sensors
    windows = windows_of(data.train, ("gps",))
    first = windows.first(1)
    assert 0 < len(first) < len(windows)
    assert set(first.passage_W.tolist()) == {int(data.train["passage"].min())}
    torch.testing.assert_close(first.label_WT, windows.label_WT[: len(first)])
    torch.testing.assert_close(first.condition_W, windows.condition_W[: len(first)])
    assert len(windows.first(2)) == len(windows.first(99)) == len(windows)


def test_a_window_has_the_condition_of_its_last_past_frame():
    frames = np.array([0, 0, 1, 2, 2, 2, 2, 2, 1, 0], np.int8)
    split = {"condition": frames, "window": np.array([[0, 1, 2, 3, 4, 5, 6, 7], [*range(1, 9)]])}
    assert conditions_of(split).tolist() == [2, 1]


@given(st.integers(1, 60), st.integers(0, 99), st.data())
def test_a_batch_has_no_window_twice_and_chunks_in_a_row(num_windows, seed, data):
    chunks = Chunks(num_windows, torch_generator(seed, "cuts"))
    count = data.draw(st.integers(1, len(chunks)))
    order = torch.randperm(len(chunks), generator=torch_generator(seed, "order"))
    windows = chunks.windows(order[:count])
    assert len(windows) == len(windows.unique())
    assert len(windows) > CHUNK * (count - 1)
    assert 0 <= int(windows.min()) <= int(windows.max()) < num_windows
    # All chunks together are all windows, wherever the cut is.
    assert chunks.windows(order).sort().values.tolist() == list(range(num_windows))


def test_over_many_draws_every_window_comes_equally_often():
    chunks = Chunks(37, torch_generator(1, "cuts"))
    order = torch_generator(1, "order")
    counts, draws = torch.zeros(37), 4000
    for _ in range(draws):
        chosen = torch.randperm(len(chunks), generator=order)[:3]
        counts[chunks.windows(chosen)] += 1
    expected = draws * 3 / len(chunks)
    # Binomial: a standard deviation of 0.7 of the root; 5 of them for 37 windows.
    assert (counts - expected).abs().max() < 5 * expected**0.5
