"""MATLAB v5 files beyond what scipy reads: objects of MATLAB beside numbers, both byte orders."""

import struct
import zlib

import numpy as np
import pytest
import scipy.sparse
from scipy.io import savemat

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data.channel_files import read_channels
from kdtasks.data import matlab5 as mat5
from kdtasks.data.matlab import find_variable, read_array

AXES = "user antenna subcarrier"
HEADERS = {order: b"MATLAB 5.0 MAT-file".ljust(124) for order in "<>"}
HEADERS = {"<": HEADERS["<"] + b"\x00\x01IM", ">": HEADERS[">"] + b"\x01\x00MI"}
DOUBLE, INT16, OPAQUE = 6, 10, 17


def channels(shape=(40, 4, 4)):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def element(kind, data, order):
    """Return a data element; up to four bytes stand in its tag, as MATLAB writes them."""
    if len(data) <= 4:
        return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def variable(name, array, order="<", *, number=DOUBLE, sizes=None):
    """Return a matrix of doubles or of int16, real or complex."""
    code, kind = ("f8", 9) if number == DOUBLE else ("i2", 3)
    flags = number | (0x800 if np.iscomplexobj(array) else 0)
    parts = [array.real, array.imag] if np.iscomplexobj(array) else [array]
    body = element(6, struct.pack(f"{order}II", flags, 0), order)
    body += element(5, np.array(sizes or array.shape, f"{order}i4").tobytes(), order)
    body += element(1, name.encode(), order)
    for part in parts:
        body += element(kind, part.astype(order + code).tobytes("F"), order)
    return struct.pack(f"{order}II", 14, len(body)) + body


def opaque(name, kind=b"string", order="<", *, sizes=False):
    """Return an object of MATLAB: flags and names, and no sizes as in every other variable."""
    body = element(6, struct.pack(f"{order}II", OPAQUE, 0), order)
    body += element(5, struct.pack(f"{order}ii", 1, 1), order) if sizes else b""
    body += b"".join(element(1, text, order) for text in (name.encode(), b"MCOS", kind))
    return struct.pack(f"{order}II", 14, len(body)) + body


def packed(stored, order="<"):
    data = zlib.compress(stored)
    return struct.pack(f"{order}II", 15, len(data)) + data


def written(tmp_path, *variables, order="<"):
    path = tmp_path / "a.mat"
    path.write_bytes(HEADERS[order] + b"".join(variables))
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pack", [lambda stored, order: stored, packed], ids=["plain", "packed"])
@pytest.mark.parametrize("sizes", [False, True])
@pytest.mark.parametrize("key", ["", "H"])
def test_objects_beside_numbers_are_no_damage(tmp_path, order, pack, sizes, key):
    stored = [
        opaque("note", order=order, sizes=sizes),
        variable("H", channels(), order),
        opaque("t", b"table", order=order, sizes=sizes),
        opaque("when", b"datetime", order=order, sizes=sizes),
        variable("", np.arange(8.0).reshape(1, 8), order),  # where MATLAB keeps their values
    ]
    path = written(tmp_path, *(pack(one, order) for one in stored), order=order)
    found = read_channels(path, key=key, axes=AXES)
    np.testing.assert_array_equal(found, channels().astype(np.complex64))
    assert [one.name for one in mat5.variables(path)] == ["note", "H", "t", "when"]
    with pytest.raises(DataError, match=r"note \[1, 1\] of object .* never opened"):
        read_channels(path, key="note", axes=AXES)


def test_an_object_after_what_scipy_writes(tmp_path):
    savemat(tmp_path / "a.mat", {"H": channels()})
    with (tmp_path / "a.mat").open("ab") as file:
        file.write(opaque("note"))
    found = read_channels(tmp_path / "a.mat", key="H", axes=AXES)
    np.testing.assert_array_equal(found, channels().astype(np.complex64))


def test_pairs_of_integers_and_complex_integers(tmp_path):
    H = np.round(100 * channels())
    pairs = np.stack([H.real, H.imag], axis=-1)
    path = written(tmp_path, variable("iq", pairs, number=INT16))
    np.testing.assert_array_equal(read_channels(path, axes=f"{AXES} part"), H)
    path = written(tmp_path, variable("H", H, number=INT16))
    np.testing.assert_array_equal(read_channels(path, axes=AXES), H)


def test_real_arrays_for_others_are_read_as_before(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    savemat(tmp_path / "a.mat", {"HT": array, "note": "text", "s": {"x": 1}})
    found = find_variable(tmp_path / "a.mat", "HT", num_axes=2)
    assert found.type_name == "double"  # stored as small integers
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", found, np.float32), array)


@pytest.mark.parametrize(
    ("name", "value", "recipe"),
    [
        ("s", {"H": channels()}, "H = s.H"),
        ("c", np.array([[1, "a"]], dtype=object), "c{:}"),
        ("S", scipy.sparse.csc_matrix(np.eye(9)), r"full\(S\)"),
        ("L", channels().real > 0, "logical holds no channels"),
        ("H", np.zeros((0, 4, 4), complex), "no users"),
    ],
)
def test_what_holds_no_numbers_gets_a_recipe(tmp_path, name, value, recipe):
    savemat(tmp_path / "a.mat", {name: value})
    with pytest.raises(DataError, match=recipe):
        read_channels(tmp_path / "a.mat", axes=AXES)


@pytest.mark.parametrize("pack", [lambda stored: stored, packed], ids=["plain", "packed"])
def test_sizes_without_values_are_damage_and_take_no_memory(tmp_path, pack):
    path = written(tmp_path, pack(variable("H", channels(), sizes=(2**30, 4, 4))))
    with pytest.raises(DataError, match=r"a\.mat: .*damaged"):
        read_channels(path, axes=AXES)
    path = written(tmp_path, pack(variable("H", channels(), sizes=(-40, 4, 4))))
    with pytest.raises(DataError, match=r"a\.mat: damaged"):
        read_channels(path, axes=AXES)


def test_v4_files_are_named_with_what_saves_them(tmp_path):
    savemat(tmp_path / "a.mat", {"H": channels()[:, 0]}, format="4")
    with pytest.raises(DataError, match=r"v4 .*'-v7'.* Octave") as error:
        read_channels(tmp_path / "a.mat", axes=AXES)
    assert "Octave, '-v7.3'" in str(error.value), "which is MATLAB's alone"
