"""Files of channels from strangers: refused by name before they fill memory or open others."""

import io
import os
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pytest

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data import channel_files
from kdtasks.csi_feedback.data.channel_axes import DEFAULT
from kdtasks.csi_feedback.data.channel_files import read_channels
from kdtasks.data.reading import SMALL_BYTES

SHAPE = (20, 8, 4)
RNG = np.random.default_rng(0)
CHANNELS = (RNG.normal(size=SHAPE) + 1j * RNG.normal(size=SHAPE)).astype(np.complex64)


def read(path, key=""):
    return read_channels(path, key=key, axes=DEFAULT)


def linked(file, beside):
    file["h"] = h5py.ExternalLink(str(beside), "h")


def soft(file, beside):
    file["h"] = h5py.SoftLink("/nothing")


def external(file, beside):
    storage = [(str(beside), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("h", SHAPE, "c8", external=storage)


def virtual(file, beside):
    layout = h5py.VirtualLayout(SHAPE, "c8")
    layout[:] = h5py.VirtualSource(str(beside), "h", shape=SHAPE)
    file.create_virtual_dataset("h", layout)


def named_type(file, beside):
    file["h"] = np.dtype("f8")


def references(file, beside):
    file["a"] = CHANNELS[:1, :1]
    file.create_dataset("h", SHAPE, h5py.ref_dtype)


WAYS = {
    "external link": linked,
    "soft link": soft,
    "external storage": external,
    "virtual dataset": virtual,
    "named datatype": named_type,
    "object": references,
}


@pytest.mark.parametrize("kind", WAYS)
def test_what_lies_elsewhere_is_refused_by_name_and_hides_nothing(tmp_path, kind):
    beside = tmp_path / "beside.h5"
    with h5py.File(beside, "w") as file:
        file["h"] = CHANNELS
    with h5py.File(tmp_path / "a.h5", "w") as file:
        WAYS[kind](file, beside)
    with pytest.raises(DataError, match=rf"a\.h5.*h.*{kind}"):
        read(tmp_path / "a.h5", "h")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["own"] = CHANNELS
    assert np.array_equal(read(tmp_path / "a.h5", "own"), CHANNELS)


def test_groups_that_hold_each_other_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("a")["back"] = file["/"]
    with pytest.raises(DataError, match=r"a\.h5.*deep"):
        read(tmp_path / "a.h5")


def test_filters_that_unpack_any_length_are_refused_by_number(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("h", (20, 8, 4, 2), "i4", chunks=(20, 8, 4, 2), scaleoffset=0)
        twice = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        twice.set_chunk(SHAPE)
        twice.set_deflate(9)
        twice.set_deflate(9)
        space = h5py.h5s.create_simple(SHAPE)
        complex_type = h5py.h5t.py_create(np.dtype("c8"))
        h5py.h5d.create(file.id, b"twice", complex_type, space, twice)
        file["twice"][...] = CHANNELS
    for key, numbers in (("h", "6"), ("twice", "1, 1")):
        with pytest.raises(DataError, match=rf"a\.h5.*{key}.*filters {numbers}"):
            read(tmp_path / "a.h5", key)


@pytest.mark.parametrize("codec", ["gzip", "lzf"])
def test_honest_packed_files_are_read(tmp_path, codec):
    many = np.tile(CHANNELS, (500, 4, 2))
    many += RNG.normal(size=many.shape)
    options = {"shuffle": True, "fletcher32": True, "compression": codec}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("h", data=many, chunks=(1000, 32, 8), **options)
    if codec == "gzip":
        assert np.array_equal(read(tmp_path / "a.h5"), many)
        with channel_files.hdf5_arrays.reader(tmp_path / "a.h5", "h", matlab=False) as part:
            assert np.array_equal(part((slice(1500, 1600), 3, ...)), many[1500:1600, 3])
    else:
        with pytest.raises(DataError, match=r"a\.h5.*LZF.*gzip"):
            read(tmp_path / "a.h5")


def test_a_chunk_that_unpacks_to_more_than_it_declares_is_refused(tmp_path):
    bomb = zlib.compress(bytes(400 * 2**20), 9)
    for rows, message in ((100, "longer"), (8000, "unpacks")):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            shape = (rows, 8, 16)
            stored = file.create_dataset("h", shape, "c8", chunks=shape, compression="gzip")
            stored.id.write_direct_chunk((0, 0, 0), bomb)
        with pytest.raises(DataError, match=rf"a\.h5.*damaged.*{message}"):
            read(tmp_path / "a.h5")


def test_a_small_file_that_declares_gigabytes_is_refused_at_once(tmp_path):
    shape = (10_000_000, 8, 4)
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        stored = file.create_dataset("h", shape, "c8", chunks=(1, 8, 4))
        stored[0] = CHANNELS[0]
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        large = (1_000_000, 8, 4)
        stored = file.create_dataset("h", large, "c8", chunks=large, compression="gzip")
        stored.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(1000)))
    for name in ("chunks", "chunk"):
        with pytest.raises(DataError, match=rf"{name}\.h5.*declares"):
            read(tmp_path / f"{name}.h5")


def header(shape, descr="<c8", length=None):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    size = struct.pack("<I", len(text) if length is None else length)
    return b"\x93NUMPY\x02\x00" + size + text


@pytest.mark.parametrize(
    "content",
    [
        header("(-1, 8, 4)") + bytes(99),
        header("(0, 8, 4)"),
        header("(20, 0, 4)"),
        header("(20, 8, 4)", "|O") + b"\x80\x04cos\nsystem\n",
        header("(" + 3000 * "(" + ")"),
        header(f"({10**30}, 8, 4)"),
        header("(20, 8, 4)", length=2**32 - 1),
    ],
)
def test_hostile_headers_of_numpy_are_one_line(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy") as caught:
        read(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "b.npy", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("h.npy", content)
    with pytest.raises(DataError, match=r"b\.npy"):
        read(tmp_path / "b.npy")


def test_members_of_archives_are_measured_before_they_are_unpacked(tmp_path):
    rows = 4 * SMALL_BYTES // (8 * 32)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("h.npy", header(f"({rows}, 8, 4)") + bytes(4 * SMALL_BYTES))
    with pytest.raises(DataError, match=r"a\.npz.*declares"):
        read(tmp_path / "a.npz")
    buffer = io.BytesIO()
    np.save(buffer, CHANNELS)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("h.npy", buffer.getvalue())
    with pytest.raises(DataError, match=r"a\.npz.*method 14"):
        read(tmp_path / "a.npz")


def test_links_of_a_folder_lead_nowhere_else(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(tmp_path / "beside.npy", CHANNELS)
    np.save(folder / "own.npy", CHANNELS)
    assert len(read(folder)) == len(CHANNELS)
    (folder / "also.npy").symlink_to("own.npy")
    assert len(read(folder)) == 2 * len(CHANNELS)
    (folder / "out.npy").symlink_to(tmp_path / "beside.npy")
    with pytest.raises(DataError, match=r"out\.npy.*leads out"):
        read(folder)
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(DataError, match=r"pipe\.npy.*pipe"):
        read(tmp_path / "pipe.npy")
