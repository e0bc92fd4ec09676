import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matlab_files import WRITERS, write_v5, write_v73
from tried import times

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data import channel_files
from kdtasks.csi_feedback.data.channel_files import read_channels
from kdtasks.data import checks

ANY_FORMAT = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
# tmp_path is shared by all examples on purpose: each one overwrites the file
MANY_FILES = settings(
    max_examples=times(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


AXES = "user antenna subcarrier"


def read(path, key="", axes=AXES):
    return read_channels(path, key=key, axes=axes)


def channels(shape=(4, 3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@ANY_FORMAT
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(2, 5)),
    order=st.permutations(range(3)),
    dtype=st.sampled_from([np.complex64, np.complex128]),
)
@MANY_FILES
def test_every_layout_is_read_back(tmp_path, write, shape, order, dtype):
    wanted = channels(shape).astype(dtype)
    stored = wanted.transpose(order)
    axes = " ".join(("user", "antenna", "subcarrier")[axis] for axis in order)
    # MATLAB itself has no trailing axis of length 1
    if stored.shape[-1] == 1:
        return
    found = read(write(tmp_path / "a.mat", H=stored), key="H", axes=axes)
    assert found.dtype == np.complex64
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, wanted.astype(np.complex64))


@ANY_FORMAT
def test_quadrigas_own_axes(tmp_path, write):
    wanted = channels((5, 4, 3))
    path = write(tmp_path / "a.mat", hmat=wanted.transpose(1, 2, 0)[None])
    found = read(path, key="hmat", axes="single antenna subcarrier user")
    np.testing.assert_array_equal(found, wanted.astype(np.complex64))


@ANY_FORMAT
def test_the_only_fitting_array_needs_no_key(tmp_path, write):
    path = write(tmp_path / "a.mat", rate=np.ones((2, 2)), text=np.array("abc"), H=channels())
    np.testing.assert_array_equal(read(path), channels().astype(np.complex64))


@ANY_FORMAT
def test_two_fitting_arrays_need_a_key(tmp_path, write):
    path = write(tmp_path / "a.mat", H=channels(), G=channels(seed=1))
    with pytest.raises(
        DataError, match=r"2 arrays could be .*data_key=[GH].* G \(4x3x2 complex double\)"
    ):
        read(path)


@pytest.mark.parametrize("chunks", [None, (1, 3, 2), (4, 1, 1), (3, 2, 2), (4, 3, 2)])
@pytest.mark.parametrize("block_bytes", [1, 100, 10**6])
def test_blocks_of_any_size_give_the_same(tmp_path, monkeypatch, chunks, block_bytes):
    monkeypatch.setattr(channel_files, "BLOCK_BYTES", block_bytes)
    path = write_v73(tmp_path / "a.mat", chunks=chunks, H=channels())
    np.testing.assert_array_equal(read(path), channels().astype(np.complex64))


@pytest.mark.parametrize("chunks", [None, (100, 16, 16)])
def test_a_large_file_is_read_in_blocks(tmp_path, monkeypatch, chunks):
    monkeypatch.setattr(channel_files, "BLOCK_BYTES", 2**18)
    monkeypatch.setattr(checks, "BLOCK_ENTRIES", 2**14)
    path = write_v73(tmp_path / "a.mat", chunks=chunks, H=channels((4000, 16, 16)))
    tracemalloc.start()
    result = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * result.nbytes  # read at once it would be 3 times the result


def changed(index, value):
    array = channels()
    array[index] = value
    return array


@ANY_FORMAT
@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"G": channels()}, r"no variable 'H' .*holds G \(4x3x2 complex double\)"),
        ({"H": channels()[0]}, r"\[3, 2\].* 2 axes, .* names 3; .*data_axes=user antenna"),
        ({"H": channels((4, 3, 2, 2))}, r"\[4, 3, 2, 2\].*data_axes=user .* receive"),
        ({"H": channels().real}, "is real, channels are complex: .*data_axes=user .* part"),
        ({"H": channels((4, 3, 3)).real}, r"is real, channels are complex: .*1j"),
        ({"H": channels().real.astype(np.int32)}, "int32 is real"),
        ({"H": np.array("abc")}, "char holds no channels"),
        ({"H": np.array([[1, 2]], dtype=object)}, "cell holds no channels: .*H{:}"),
        ({"H": changed((2, 1), np.nan)}, "2 entries .* sample 2, antenna 1, subcarrier 0"),
        ({"H": changed((3, 2, 1), 1j * np.inf)}, "1 entries .* sample 3, antenna 2, subcarrier 1"),
        ({"H": changed((0, 0, 0), 1e300)}, "1 entries .* infinite in single precision"),
        ({"H": changed([1, 3], 0)}, "2 samples have zero power, .* sample 1 .*data_drop=true"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:20],
)
def test_each_wrong_file_is_refused_by_name(tmp_path, write, stored, message):
    path = write(tmp_path / "wrong.mat", **stored)
    with pytest.raises(DataError, match=message) as caught:
        read(path, key="H")
    assert str(path) in str(caught.value)


def test_a_wrong_entry_far_down_keeps_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "BLOCK_ENTRIES", 1)
    path = write_v5(tmp_path / "a.mat", H=changed((3, 1, 0), np.nan))
    with pytest.raises(DataError, match="sample 3, antenna 1, subcarrier 0"):
        read(path, key="H")


@ANY_FORMAT
def test_a_file_cut_anywhere_is_refused(tmp_path, write):
    whole = write(tmp_path / "whole.mat", H=channels((40, 4, 4))).read_bytes()
    cut = tmp_path / "cut.mat"
    for length in [10, 126, 128, 300, 512, 700, *range(2000, len(whole), 777), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.mat: .*truncated"):
            read(cut)


# v5 without compression has no checksum, and scipy itself crashes on some damaged lengths.
@pytest.mark.parametrize("write", [WRITERS["v7"], WRITERS["v7.3"]], ids=["v7", "v7.3"])
def test_flipped_bytes_never_raise_anything_else(tmp_path, write):
    whole = bytearray(write(tmp_path / "whole.mat", H=channels((10, 4, 4))).read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(128, len(whole), 60):
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        (tmp_path / "damaged.mat").write_bytes(damaged)
        try:
            read(tmp_path / "damaged.mat", key="H")
        except DataError:
            refused += 1
    assert refused > 0
