"""Channels in files of NumPy and MATLAB: every order of axes, every way of being wrong."""

import tracemalloc
from contextlib import suppress
from itertools import permutations

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matlab_files import WRITERS, write_v5, write_v73

from kdtasks.contract.errors import DataError, UserError
from kdtasks.csi_feedback.data import channel_files
from kdtasks.csi_feedback.data.channel_axes import AXES
from kdtasks.csi_feedback.data.channel_files import SUFFIXES, find_channels, read_channels, take


def channels(shape=(5, 3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def saved(path, array):
    np.save(path, array)
    return path


def read(path, axes="user antenna subcarrier"):
    return read_channels(path, axes=axes)


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
    with pytest.raises(DataError, match=r"axis 1 is called 'single' but is 5 long"):
        read(path, "single antenna user subcarrier")


def test_a_folder_is_read_in_the_order_of_names_whatever_the_format(tmp_path):
    saved(tmp_path / "b.npy", channels(seed=1))
    write_v5(tmp_path / "a.mat", H=channels(seed=0).astype(np.complex128))
    (tmp_path / "notes.txt").write_text("measured on Monday")
    both = np.concatenate([channels(seed=0), channels(seed=1)])
    np.testing.assert_array_equal(read(tmp_path), both)
    layout = find_channels(tmp_path, axes="user antenna subcarrier").layout
    assert (layout.users, layout.antennas, layout.subcarriers) == (10, 3, 2)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (channels().real, r"\[5, 3, 2\] of float32 is real.*data_axes=user .* part"),
        (channels()[0], r"\[3, 2\] of complex64: 2 axes"),
        (np.where(np.arange(5)[:, None, None] == 3, np.nan, channels()), "6 entries are NaN"),
        (
            np.where(np.arange(5)[:, None, None] == 3, 0, channels()),
            "1 samples have zero power.*drop",
        ),
    ],
)
def test_what_are_no_channels_is_refused(tmp_path, array, reason):
    with pytest.raises(DataError, match=reason) as error:
        read(saved(tmp_path / "a.npy", array))
    assert "a.npy" in str(error.value)


def header(shape, descr="<c8"):
    """Return the first bytes of a file of NumPy that declares what is not there."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


WHOLE = header("(5, 3, 2)") + channels().tobytes()
DAMAGED = {
    "cut": WHOLE[:-7],
    "empty": b"",
    "text": b"user,antenna\n1,2\n",
    "huge": header("(1000000000000, 16, 16)") + bytes(64),
    "negative": header("(-4, 16, 16)") + bytes(64),
    "sum": header("(2+3, 3, 2)") + channels().tobytes(),
    "brackets": header("((((((") + bytes(64),
    "version": b"\x93NUMPY\x09\x00" + bytes(300),
    "length": b"\x93NUMPY\x01\x00\xff\xff" + bytes(300),
    "long": b"\x93NUMPY\x02\x00" + (60_000).to_bytes(4, "little") + b" " * 60_000,
    "type": header("(5, 3, 2)", "<q99") + bytes(300),
    "archive": b"PK\x03\x04" + bytes(300),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(600),
    "matlab": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + bytes(40),
    "v7.3": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_named_in_one_line_whatever_the_name(tmp_path, suffix, damage):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(DataError) as error:
        read(path)
    named = str(error.value)
    assert named.startswith(f"{path}: ")
    assert "\n" not in named
    assert "pickle" not in named


@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_flipped_bytes_never_raise_anything_else(tmp_path, place, value):
    damaged = bytearray(WHOLE)
    damaged[place] ^= value
    (tmp_path / "a.npy").write_bytes(damaged)
    with suppress(UserError):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_no_code_is_run(tmp_path, suffix):
    objects = np.array([channels(), None], dtype=object)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, objects, allow_pickle=True)
    else:
        np.savez(path, H=objects)
    with pytest.raises(DataError, match="objects, which are never opened") as error:
        read(path)
    assert "pickle" not in str(error.value)


@pytest.mark.parametrize("target", ["a.npy", "nowhere"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, target):
    (tmp_path / "a.npy").symlink_to(tmp_path / target)
    for path in (tmp_path / "a.npy", tmp_path):
        with pytest.raises(DataError, match=r"a\.npy: .*(link|no such file)"):
            read(path)


def test_files_that_do_not_fit_each_other_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no file of channels \(\.npy, .*\.mat"):
        read(tmp_path)
    saved(tmp_path / "a.npy", channels((5, 3, 2)))
    saved(tmp_path / "b.npy", channels((5, 3, 4)))
    with pytest.raises(DataError, match=r"b\.npy: 3 antennas and 4 subcarriers, but a\.npy has 3"):
        read(tmp_path)


def write_npy(path, **arrays):
    np.save(path, *arrays.values())


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def write_pairs(path, **arrays):
    """What libraries write that have no complex numbers: compounds of two."""
    pairs = {}
    for name, array in arrays.items():
        pairs[name] = np.empty(array.shape, [("re", "f4"), ("im", "f4")])
        pairs[name]["re"], pairs[name]["im"] = array.real, array.imag
    write_h5(path, **pairs)


WAYS = {
    **WRITERS,
    "npy": write_npy,
    "npz": np.savez,
    "packed npz": np.savez_compressed,
    "h5": write_h5,
    "pairs": write_pairs,
    "fortran": lambda path, H: np.save(path, np.asfortranarray(H)),
    "big endian": lambda path, H: np.save(path, H.astype(">c8")),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", ["a.npy", "B.NPZ", "c.mat", "d.H5"])
def test_formats_are_recognised_by_content_whatever_the_name(tmp_path, write, name):
    write(tmp_path / "x", H=channels())
    (path,) = tmp_path.iterdir()  # savez appends a suffix
    path = path.rename(tmp_path / name)
    for place in (path, tmp_path):
        np.testing.assert_array_equal(read(place), channels())


def test_no_file_of_a_folder_is_lost(tmp_path):
    parts = [channels(seed=seed) for seed in range(4)]
    saved(tmp_path / "a.npy", parts[0])
    (tmp_path / "x.npy").write_bytes((tmp_path / "a.npy").read_bytes())
    (tmp_path / "x.npy").rename(tmp_path / "b.NPY")
    np.save(tmp_path / "b.npy", parts[1])
    np.savez(tmp_path / "c.npz", H=parts[2])
    write_v73(tmp_path / "d.mat", H=parts[3])
    (tmp_path / "._a.npy").write_bytes(b"\x00\x05\x16\x07Mac OS X")  # what macOS leaves
    (tmp_path / "more.npy").mkdir()
    wanted = np.concatenate([parts[0], parts[0], *parts[1:]])
    np.testing.assert_array_equal(read(tmp_path), wanted)


def test_files_without_channels_are_skipped_and_named(tmp_path):
    saved(tmp_path / "channels.npy", channels())
    saved(tmp_path / "positions.npy", np.ones((5, 2)))
    write_v5(tmp_path / "meta.mat", scene={"name": "street", "carrier": 28e9})
    found = find_channels(tmp_path, axes="user antenna subcarrier")
    assert found.skipped.keys() == {"positions.npy", "meta.mat"}
    assert "scene (1x1 struct)" in found.skipped["meta.mat"]
    assert found.layout.users == 5
    (tmp_path / "channels.npy").unlink()
    with pytest.raises(DataError, match=r"no file of channels .*meta\.mat: scene.*positions\.npy"):
        read(tmp_path)


def test_a_file_per_user(tmp_path):
    for user in range(7):
        saved(tmp_path / f"{user}.npy", channels()[user % 5])
    np.testing.assert_array_equal(read(tmp_path, "antenna subcarrier")[:5], channels())


def test_of_large_files_only_what_is_wanted_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(channel_files, "BLOCK_BYTES", 2**14)
    whole = channels((4000, 8, 8))
    write_v73(tmp_path / "v73.mat", H=whole, chunks=(50, 8, 8))
    write_v5(tmp_path / "v5.mat", H=whole)
    np.save(tmp_path / "a.npy", whole)
    np.savez(tmp_path / "a.npz", H=whole)
    for path in tmp_path.iterdir():
        found = find_channels(path, axes="user antenna subcarrier")
        tracemalloc.start()
        taken = take(found, 30, drop=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(taken.channels_NAC, whole[:30])
        assert peak < whole.nbytes / 8, path


@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_useless_samples_are_left_out_and_counted(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(channel_files, "BLOCK_BYTES", block_bytes)
    array = channels((20, 2, 3, 4))
    array[[0, 3]] = 0
    array[5, 1, 2, 2] = np.nan
    array[19, 0, 0, 0] = np.inf
    path = saved(tmp_path / "a.npy", array)
    found = find_channels(path, axes="user receive antenna subcarrier")
    good = np.delete(array.reshape(40, 3, 4), [0, 1, 6, 7, 11, 38], axis=0)
    for count, dropped in ((40, 6), (34, 6), (7, 4), (8, 5), (33, 5), (1, 2)):
        taken = take(found, count, drop=True)
        np.testing.assert_array_equal(taken.channels_NAC, good[:count])
        assert taken.dropped == dropped
    assert sorted(taken.user_N) == list(taken.user_N)
    assert taken.user_N[0] == 1
    with pytest.raises(DataError, match="data_drop=true"):
        take(found, 40, drop=False)
