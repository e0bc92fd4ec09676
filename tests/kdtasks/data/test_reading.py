"""The gate through which files of strangers are read."""

import os

import pytest

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.reading import (
    DEEPEST,
    FOLLOW,
    SMALL_BYTES,
    check_size,
    checked_inside,
    damage_named,
    inside,
    parsed_json,
    read_bytes,
    read_json,
)


@pytest.mark.parametrize(
    "raised",
    [
        *(OSError(5, "Input/output error"), KeyError("x"), OverflowError("too large")),
        *(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), AssertionError(), EOFError()),
        *(RecursionError("deep"), MemoryError(), PermissionError(13, "Permission denied")),
    ],
)
def test_whatever_a_library_raises_is_one_line_with_the_file(tmp_path, raised):
    file = tmp_path / "a.npy"
    with pytest.raises(DataError, match=r"a\.npy") as caught, damage_named(file):
        raise raised
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="ours"), damage_named(file):
        raise ConfigError("ours")


def test_a_reason_is_short_and_steers_no_terminal(tmp_path):
    with pytest.raises(DataError) as caught, damage_named(tmp_path / "a"):
        raise ValueError("\x1b[31mred\n" + 10_000 * "x")
    assert len(str(caught.value)) < 500
    assert "\x1b" not in str(caught.value)


def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("a.npy", "zero"):
        with pytest.raises(DataError, match=name):
            read_bytes(tmp_path / name, 10)


def test_what_is_unpacked_fits_what_is_stored_and_the_memory():
    check_size("a: h", SMALL_BYTES, 1)
    check_size("a: h", 4 * SMALL_BYTES, SMALL_BYTES)
    with pytest.raises(DataError, match=r"a: h.*declares 3000000000.*stores 2000"):
        check_size("a: h", 3_000_000_000, 2000)
    with pytest.raises(DataError, match=r"a: h.*memory"):
        check_size("a: h", 2**60, 2**60)


@pytest.mark.parametrize("text", [200_000 * "[", 200_000 * '{"a":', "[" * 101 + "]" * 101])
def test_deep_json_is_refused_before_it_is_read(tmp_path, text):
    with pytest.raises(ValueError, match="deep"):
        parsed_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json.*deep"):
        read_json(tmp_path / "a.json")


def test_brackets_in_texts_and_side_by_side_are_not_deep():
    text = r'{"a": "' + 300 * r"[\"{" + '", "b": [' + ", ".join(500 * ["[]"]) + "]}"
    assert len(parsed_json(text)["b"]) == 500
    assert parsed_json("[" * DEEPEST + "]" * DEEPEST)


def test_a_path_stays_in_its_folder_with_all_links_resolved(tmp_path, monkeypatch):
    root, beside = tmp_path / "data", tmp_path / "beside"
    for folder in (root / "unit1", beside):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("1")
    (root / "out").symlink_to(beside)
    (root / "out.txt").symlink_to(beside / "a.txt")
    (root / "in.txt").symlink_to("unit1/a.txt")
    (root / "round").symlink_to("round")
    (tmp_path / "link").symlink_to(root)
    good = ("unit1/a.txt", "unit1/../unit1/a.txt", "in.txt", "missing/a.txt")
    bad = ("../beside/a.txt", "out/a.txt", "out.txt", "/etc/passwd", "unit1/../../beside/a.txt")
    for name in good:
        assert inside(root, root / name)
        assert inside(tmp_path / "link", tmp_path / "link" / name)
    for name in bad:
        assert not inside(root, root / name)
        with pytest.raises(DataError, match=rf"a\.txt|out\.txt|passwd.*{FOLLOW}"):
            checked_inside(root, root / name)
    monkeypatch.setenv(FOLLOW, "1")
    assert inside(root, root / "out.txt")
