"""Small files of a sweep when the disk is full: it is said which, and what to do."""

import os
from pathlib import Path

import pytest

from kdtasks.contract.errors import UserError
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.ledger.paths import SweepFolder, create, put_text
from sweeps.mirror.restore import catch_up
from sweeps.mirror.storage import open_storage

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def fill(path: Path) -> None:
    """Let what is written on the way to ``path`` find no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f".{path.name}.{os.getpid()}.part").symlink_to(FULL)


def test_a_file_without_room_is_named_and_the_old_one_stays(tmp_path):
    path = tmp_path / "views.json"
    put_text(path, "old")
    fill(path)
    with pytest.raises(UserError, match=r"views\.json cannot be written to: No space left.*resume"):
        put_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["views.json"]


def test_settings_without_room_are_named(tmp_path):
    fill(tmp_path / "sweep.json")
    with pytest.raises(UserError, match=r"sweep\.json cannot be written to: No space left"):
        write_settings(tmp_path, SweepSettings())


def test_what_is_fetched_without_room_is_not_taken_for_a_fault_of_storage(tmp_path):
    folder = SweepFolder(tmp_path / "runs" / "toy")
    storage = open_storage(f"file://{tmp_path}/stored", "toy")
    storage.write("journal.log", b"one\n")
    fill(folder.journal)
    with pytest.raises(UserError, match=r"journal\.log cannot be written to: No space left"):
        catch_up(storage, folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(UserError, match=r"home/toy cannot be created: Not a directory.*--home"):
        create(SweepFolder(tmp_path / "home" / "toy"), "study")
