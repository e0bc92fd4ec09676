import numpy as np
import pytest
from matlab_files import WRITERS, write_v5, write_v73

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data.cost2100 import read_cost2100, read_cost2100_folder

ANY_FORMAT = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def samples(num_samples=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (num_samples, 2048))


@ANY_FORMAT
def test_what_was_written_is_read_back(tmp_path, write):
    stored = samples()
    read = read_cost2100(write(tmp_path / "a.mat", HT=stored))
    assert read.dtype == np.float32
    assert read.shape == (3, 2, 32, 32)
    np.testing.assert_array_equal(read.reshape(3, 2048), stored.astype(np.float32))


def test_real_parts_come_first_and_rows_before_columns(tmp_path):
    matrix = np.arange(32)[:, None] / 64 + 1j * np.arange(32) / 64
    row = np.concatenate([matrix.real.ravel(), matrix.imag.ravel()])[None]
    read = read_cost2100(write_v5(tmp_path / "a.mat", HT=row))[0]
    np.testing.assert_array_equal(read[0] + 1j * read[1], matrix.astype(np.complex64))


def test_doubles_that_matlab_stores_as_bytes_are_doubles(tmp_path):
    # MATLAB shrinks whole numbers on disk; only the class in the header says double. scipy never
    # writes that, so the element is built here.
    values = np.tile(np.array([0, 1], np.uint8), 1024)

    def element(kind, data):
        return np.array([kind, len(data)], "<u4").tobytes() + data.ljust(
            -(-len(data) // 8) * 8, b"\0"
        )

    body = (
        element(6, np.array([6, 0], "<u4").tobytes())
        + element(5, np.array([1, 2048], "<i4").tobytes())
        + element(1, b"HT")
        + element(2, values.tobytes())
    )
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path = tmp_path / "a.mat"
    path.write_bytes(header + np.array([14, len(body)], "<u4").tobytes() + body)
    np.testing.assert_array_equal(read_cost2100(path).ravel(), values)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@ANY_FORMAT
@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"HF": samples()}, r"no variable 'HT'; the file holds HF \(3x2048 double\)"),
        ({"HT": samples().T}, r"size 2048 x 3, expected N x 2048"),
        ({"HT": samples()[:, :, None, None] * np.ones((1, 1, 2, 2))}, "expected 2 axes"),
        ({"HT": samples().astype(np.int32)}, "class int32, expected single or double"),
        ({"HT": np.array("abc")}, "class char"),
        ({"HT": np.array([[1, 2]], dtype=object)}, "class cell"),
        ({"HT": samples() + 1j}, "is complex, expected real"),
        ({"HT": changed(samples(), (1, [7, 9]), np.nan)}, "2 entries .* sample 1, column 7"),
        ({"HT": changed(samples(), (2, 0), np.inf)}, "1 entries .* sample 2, column 0"),
        ({"HT": samples() * 2 - 0.5}, r"expected values scaled to \[0, 1\]"),
        ({"HT": changed(samples(), 2, 0.5)}, "1 samples have zero power, the first is sample 2"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:20],
)
def test_each_wrong_file_is_refused_by_name(tmp_path, write, stored, message):
    path = write(tmp_path / "wrong.mat", **stored)
    with pytest.raises(DataError, match=message) as caught:
        read_cost2100(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"DATA_Htrainin\.mat: no such file"):
        read_cost2100(tmp_path / "DATA_Htrainin.mat")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"%" * 600, b"\x89HDF\r\n\x1a\n" * 80])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mat: (not a MATLAB|truncated)"):
        read_cost2100(path)


@ANY_FORMAT
def test_a_file_cut_anywhere_is_refused(tmp_path, write):
    whole = write(tmp_path / "whole.mat", HT=samples(1)).read_bytes()
    cut = tmp_path / "cut.mat"
    lengths = [
        1,
        19,
        100,
        127,
        128,
        130,
        140,
        200,
        511,
        512,
        600,
        1000,
        *range(2000, len(whole), 997),
    ]
    for length in [*lengths, len(whole) - 8, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.mat: .*truncated"):
            read_cost2100(cut)


def write_folder(folder, write=write_v5):
    for seed, split in enumerate(("train", "val", "test")):
        write(folder / f"DATA_H{split}out.mat", HT=samples(3 - seed, seed))


def test_a_folder_is_read_with_its_provenance(tmp_path):
    write_folder(tmp_path, write_v73)
    data = read_cost2100_folder(tmp_path, environment="outdoor")
    assert [len(part) for part in (data.train, data.val, data.test)] == [3, 2, 1]
    files = data.provenance["files"]
    assert files["val"]["name"] == "DATA_Hvalout.mat"
    assert files["val"]["num_samples"] == 2
    assert len({entry["sha256"] for entry in files.values()}) == 3
    assert data.provenance["carrier_hz"] == 300e6


def test_missing_splits_are_listed(tmp_path):
    write_folder(tmp_path)
    with pytest.raises(DataError, match=r"no DATA_Htrainin\.mat, DATA_Hvalin\.mat"):
        read_cost2100_folder(tmp_path, environment="indoor")


def test_one_file_cannot_be_two_splits(tmp_path):
    write_folder(tmp_path)
    copied = (tmp_path / "DATA_Htrainout.mat").read_bytes()
    (tmp_path / "DATA_Htestout.mat").write_bytes(copied)
    with pytest.raises(
        DataError, match=r"DATA_Htestout\.mat: the same file as DATA_Htrainout\.mat"
    ):
        read_cost2100_folder(tmp_path, environment="outdoor")
