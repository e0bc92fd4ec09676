"""Channels of DeepMIMO v4 folders, beside the closed form of single paths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data.deepmimo import QUANTITIES, read_scenario
from kdtasks.data.splits import order_by_blocks

LINK = "t001_tx000_r000"
SIZES = {"antennas": 4, "subcarriers": 8, "bandwidth_hz": 80e6}


def write(folder, matrices, link=LINK):
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in matrices.items():
        savemat(folder / f"{name}_{link}.mat", {name: np.asarray(values, np.float32)})
    return folder


def three_users():
    """Return a user with one path, one with two, and one with none."""
    nan = np.nan
    return {
        "power": [[-60.0, nan], [-70.0, -80.0], [nan, nan]],
        "phase": [[90.0, nan], [0.0, 180.0], [nan, nan]],
        "delay": [[1e-7, nan], [0.0, 2.5e-7], [nan, nan]],
        "aod_az": [[30.0, nan], [0.0, 90.0], [nan, nan]],
        "aod_el": [[90.0, nan], [45.0, 90.0], [nan, nan]],
        "rx_pos": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    }


def test_channels_are_the_sum_of_their_paths(tmp_path):
    channels, positions = read_scenario(write(tmp_path, three_users()), **SIZES)
    antenna, tone = np.arange(4)[:, None], np.arange(8) * 10e6
    one = 1e-3 * 1j * np.exp(1j * np.pi * antenna * 0.5) * np.exp(-2j * np.pi * tone * 1e-7)
    late = np.exp(-2j * np.pi * tone * 2.5e-7)
    two = 10**-3.5 * np.ones((4, 8)) - 1e-4 * (-1.0) ** antenna * late
    np.testing.assert_allclose(channels[0], one, atol=1e-9)
    np.testing.assert_allclose(channels[1], two, atol=1e-9)
    assert not channels[2].any()
    np.testing.assert_array_equal(positions, three_users()["rx_pos"])


def test_folders_that_are_none_are_refused_by_name(tmp_path):
    write(tmp_path, three_users(), "t001_tx001_r000")
    assert read_scenario(tmp_path, link="t001_tx001_r000", **SIZES)[0].shape == (3, 4, 8)
    write(tmp_path, three_users())
    with pytest.raises(DataError, match=rf"link=''.*{LINK}, t001_tx001_r000"):
        read_scenario(tmp_path, **SIZES)
    for name in (*QUANTITIES[1:], "rx_pos"):
        short = {name: three_users()[name][:2]}
        folder = write(tmp_path / name, {**three_users(), **short})
        with pytest.raises(DataError, match=f"{name}_{LINK}.mat"):
            read_scenario(folder, **SIZES)
        (folder / f"{name}_{LINK}.mat").unlink()
        with pytest.raises(DataError, match=f"{name}_{LINK}.mat"):
            read_scenario(folder, **SIZES)
    for folder, part in ((tmp_path / "none", "no such folder"), (tmp_path.parent, "no power_t")):
        with pytest.raises(DataError, match=part):
            read_scenario(folder, **SIZES)


@settings(max_examples=20)
@given(st.integers(1, 60), st.floats(1.0, 50.0), st.integers(0, 99))
def test_users_of_a_block_stay_together(count, block_m, seed):
    position = np.random.default_rng(seed).uniform(-100, 100, size=(count, 2))
    order = order_by_blocks(position, block_m, seed=seed)
    assert sorted(order.tolist()) == list(range(count))
    block = np.floor(position[order] / block_m)
    changes = 1 + int((block[1:] != block[:-1]).any(axis=1).sum())
    assert changes == len(np.unique(block, axis=0))
