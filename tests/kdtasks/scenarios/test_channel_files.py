"""Channels in files of NumPy and MATLAB: every order of axes, every way of being wrong."""

from itertools import permutations

import numpy as np
import pytest
from matlab_files import write_v5

from kdtasks.errors import DataError
from kdtasks.scenarios.channel_files import channel_sizes, read_channels
from kdtasks.scenarios.quadriga import AXES


def channels(shape=(5, 3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def saved(path, array):
    np.save(path, array)
    return path


def read(path, axes="user antenna subcarrier"):
    return read_channels(path, key=None, axes=axes)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_axes_may_come_in_any_order(tmp_path, order):
    array = channels()
    path = saved(tmp_path / "a.npy", array.transpose(order))
    found = read(path, " ".join(AXES[axis] for axis in order))
    np.testing.assert_array_equal(found, array)
    assert found.flags.c_contiguous


def test_axes_of_length_one_are_dropped(tmp_path):
    path = saved(tmp_path / "a.npy", channels()[:, None])
    np.testing.assert_array_equal(read(path, "user single antenna subcarrier"), channels())
    with pytest.raises(DataError, match=r"axis 1 of 4 is called 'single' .* but is 5 long"):
        read(path, "single antenna user subcarrier")


def test_a_folder_is_read_in_the_order_of_names_whatever_the_format(tmp_path):
    saved(tmp_path / "b.npy", channels(seed=1))
    write_v5(tmp_path / "a.mat", H=channels(seed=0).astype(np.complex128))
    (tmp_path / "notes.txt").write_text("measured on Monday")
    both = np.concatenate([channels(seed=0), channels(seed=1)])
    np.testing.assert_array_equal(read(tmp_path), both)
    assert channel_sizes(tmp_path) == (3, 2)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (channels().real, r"float32 of shape \[5, 3, 2\]; channels are complex"),
        (channels()[0], r"complex64 of shape \[3, 2\]"),
        (np.where(np.arange(5)[:, None, None] == 3, np.nan, channels()), "6 entries are NaN"),
        (np.where(np.arange(5)[:, None, None] == 3, 0, channels()), "1 samples have zero power"),
    ],
)
def test_what_are_no_channels_is_refused(tmp_path, array, reason):
    with pytest.raises(DataError, match=reason) as error:
        read(saved(tmp_path / "a.npy", array))
    assert "a.npy" in str(error.value)


def test_no_code_is_run_and_damage_is_named(tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    whole = saved(tmp_path / "whole.npy", channels()).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-7])
    (tmp_path / "empty.npy").touch()
    for name in ("objects", "cut", "empty", "missing"):
        with pytest.raises(DataError, match=rf"{name}\.npy: no readable file of NumPy"):
            read(tmp_path / f"{name}.npy")


def test_files_that_do_not_fit_each_other_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no file ends in \.npy or \.mat"):
        read(tmp_path)
    saved(tmp_path / "a.npy", channels((5, 3, 2)))
    saved(tmp_path / "b.npy", channels((5, 3, 4)))
    with pytest.raises(DataError, match=r"b\.npy: 3 antennas and 4 subcarriers, but a\.npy has 3"):
        read(tmp_path)
