"""Tables of strangers: their paths stay in their folder, and nothing of a file is quoted."""

import zipfile

import numpy as np
import pytest

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import FOLLOW
from kdtasks.sensing.deepsense.arrays import read_powers
from kdtasks.sensing.deepsense.files import read_lidar, read_position, read_power, read_radar
from kdtasks.sensing.deepsense.folder import open_table

SECRET = "toor:x:0:0"  # noqa: S105 - a made-up file


def scenario(tmp_path, cell):
    """A table of one frame beside a folder with a secret."""
    folder = tmp_path / "parent" / "scenario"
    (folder / "unit1").mkdir(parents=True)
    for place in (tmp_path, folder / "unit1"):
        (place / "secret.txt").write_text(SECRET)
    (folder / "unit1" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "out").symlink_to(tmp_path)
    (folder / "a.csv").write_text(f"seq_index,unit1_rgb,unit1_pwr_60ghz\n1,unit1/a.jpg,{cell}\n")
    return folder


@pytest.mark.parametrize(
    "cell",
    [
        *("../../secret.txt", "unit1/../../../secret.txt", "unit1/link.txt", "out/secret.txt"),
        *("..\\..\\secret.txt", "/etc/../../secret.txt", "unit1/secret.txt", "unit1/a\0b"),
    ],
)
def test_paths_of_a_table_stay_in_its_folder_and_nothing_is_quoted(tmp_path, cell):
    folder = scenario(tmp_path, cell)
    try:
        (defect,) = read_powers(open_table(folder)).defects
        message = f"{defect.kind} {defect.detail}"
    except DataError as error:
        message = str(error)
    assert "toor" not in message.replace(str(folder), "")
    assert "SECRET" not in message
    if "link" in cell or "out" in cell:
        assert "elsewhere" in message
        assert FOLLOW in message


def test_a_table_that_is_a_link_elsewhere_is_refused(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"a\.csv.*leads out") as caught:
        open_table(folder)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize("read", [read_power, read_position])
def test_a_text_that_is_no_numbers_is_not_quoted(tmp_path, read):
    (tmp_path / "a.txt").write_text(SECRET)
    with pytest.raises(DataError, match=r"a\.txt") as caught:
        read(tmp_path / "a.txt")
    assert "toor" not in str(caught.value)


HEAD = "ply\nformat ascii 1.0\nelement vertex {}\n" + "".join(
    f"property float {axis}\n" for axis in "xyz"
)


@pytest.mark.parametrize("count", [2, 10**6, 10**11, 10**30, "²"])
def test_absurd_counts_of_points_are_refused(tmp_path, count):
    (tmp_path / "a.ply").write_text(HEAD.format(count) + "end_header\n-1 0 0\n" + 999 * "\n")
    with pytest.raises(DataError, match=r"a\.ply"):
        read_lidar(tmp_path / "a.ply")


def test_points_are_not_quoted(tmp_path):
    (tmp_path / "a.ply").write_text(HEAD.format(1) + f"end_header\n{SECRET} 0 0\n")
    with pytest.raises(DataError, match=r"a\.ply.*3 numbers") as caught:
        read_lidar(tmp_path / "a.ply")
    assert "toor" not in str(caught.value)


def test_an_archive_or_a_pickle_named_npy_is_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npy", "w") as archive:
        archive.writestr("x", "y")
    (tmp_path / "b.npy").write_bytes(b"PK\x03\x04")
    np.save(tmp_path / "c.npy", np.array([{}], object), allow_pickle=True)
    for name in "abc":
        with pytest.raises(DataError, match=rf"{name}\.npy"):
            read_radar(tmp_path / f"{name}.npy")


def test_names_of_columns_break_no_line(tmp_path):
    (tmp_path / "a.csv").write_text('"seq\n\x1b[31m",b\n1,2\n')
    with pytest.raises(DataError, match=r"a\.csv") as caught:
        open_table(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_column_with_an_endless_number_is_no_column(tmp_path):
    (tmp_path / "a.csv").write_text(
        f"seq_index,unit1_rgb_{5000 * '9'},unit1_pwr_60ghz\n1,a.jpg,b\n"
    )
    with pytest.raises(DataError, match=r"a\.csv"):
        open_table(tmp_path / "a.csv")
