import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from toy_study import ManualClock

from kdtasks.errors import ConfigError
from sweeps import mirror as mirror_module
from sweeps.fetching import kept
from sweeps.folder import SweepFolder
from sweeps.mirror import Mirror
from sweeps.settings import SweepSettings, read_settings, write_settings
from sweeps.storage import Storage, open_storage
from sweeps.storage_lease import DRIVER_FILE, PERIOD_S, StorageLease

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    folder = SweepFolder(tmp_path / "runs" / "toy")
    folder.weights.mkdir(parents=True)
    folder.study.write_text("study")
    write_settings(folder.path, SweepSettings(id="toy"))
    folder.journal.write_bytes(b"one\nhalf a li")
    return folder


@pytest.fixture
def storage(tmp_path):
    return open_storage(f"file://{tmp_path}/stored", "toy")


@pytest.fixture
def notes():
    return []


@pytest.fixture
def mirror(folder, storage, notes, monkeypatch):
    monkeypatch.setattr(mirror_module, "PAUSE_S", 0.0)
    lease = StorageLease(storage, ManualClock())
    lease.take()
    return Mirror(storage, lease, folder, notes.append)


def stored(tmp_path: Path) -> dict[str, bytes]:
    root = tmp_path / "stored" / "toy"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def break_storage(tmp_path: Path) -> Path:
    """Put a file where the sweep's folder was, so that nothing can be written."""
    aside = tmp_path / "aside"
    (tmp_path / "stored" / "toy").rename(aside)
    (tmp_path / "stored" / "toy").write_text("in the way")
    return aside


def mend_storage(tmp_path: Path, aside: Path) -> None:
    (tmp_path / "stored" / "toy").unlink()
    aside.rename(tmp_path / "stored" / "toy")


def test_only_whole_lines_and_whole_files_are_copied(mirror, folder, tmp_path):
    (folder.weights / ".trial-1.safetensors.part").write_bytes(b"half")
    (folder.weights / "trial-0.safetensors").write_bytes(b"0")
    (folder.path / "mlflow.db").write_bytes(b"open")
    mirror.copy()
    found = stored(tmp_path)
    assert found["journal.log"] == b"one\n"
    assert set(found) == {
        "study.yaml", "sweep.json", "journal.log", DRIVER_FILE, "weights/trial-0.safetensors"
    }  # fmt: skip


def test_what_has_not_changed_is_not_copied_again(mirror, folder, tmp_path):
    (folder.weights / "trial-0.safetensors").write_bytes(b"0")
    mirror.copy()
    for name in ("weights/trial-0.safetensors", "journal.log"):
        (tmp_path / "stored" / "toy" / name).write_text("not written over")
    folder.study.write_text("changed")
    mirror.copy()
    found = stored(tmp_path)
    assert found["weights/trial-0.safetensors"] == found["journal.log"] == b"not written over"
    assert found["study.yaml"] == b"changed"


def test_weights_that_are_there_are_not_copied_by_the_next_driver(folder, storage, tmp_path):
    (folder.weights / "trial-0.safetensors").write_bytes(b"0")
    (folder.weights / "trial-1.safetensors").write_bytes(b"11")
    storage.write("weights/trial-0.safetensors", b"z")
    storage.write("weights/trial-1.safetensors", b"z")
    with kept(f"file://{tmp_path}/stored", folder, pytest.fail):
        pass
    assert stored(tmp_path)["weights/trial-0.safetensors"] == b"z"
    assert stored(tmp_path)["weights/trial-1.safetensors"] == b"11"


def test_a_trial_that_is_finished_in_storage_has_its_weights_there(folder, storage):
    """Whatever a writer does between two reads of ours."""

    class Writing(Storage):
        def write(self, path, content):
            number = len(list(folder.weights.iterdir()))
            (folder.weights / f"trial-{number}").write_bytes(b"w")
            with folder.journal.open("ab") as journal:
                journal.write(f"trial-{number} finished\n".encode())
            storage.write(path, content)

    folder.journal.write_bytes(b"")
    lease = StorageLease(storage, ManualClock())
    lease.take()
    busy = Mirror(Writing(storage._files, storage._root, "busy"), lease, folder, pytest.fail)
    for _ in range(5):
        busy.copy()
        lines = (storage.read("journal.log") or b"").decode().splitlines()
        finished = {f"weights/{line.split()[0]}" for line in lines}
        assert finished <= set(storage.sizes("weights"))
    assert len(finished) > 5


def test_a_sweep_that_was_never_begun_leaves_its_name_free(mirror, folder, tmp_path):
    folder.journal.unlink()
    mirror.start()
    mirror.finish()
    assert stored(tmp_path) == {}


def test_a_password_stays_on_this_machine(mirror, folder, storage):
    write_settings(folder.path, SweepSettings(tracking_uri="https://me:hunter2@host:5000/x?y=1"))
    mirror.copy()
    content = storage.read("sweep.json")
    assert b"hunter2" not in content
    assert json.loads(content)["tracking_uri"] is None
    assert "hunter2" in read_settings(folder.path).tracking_uri


def test_a_copy_that_fails_is_noted_once_tried_again_and_made_good(mirror, folder, notes, tmp_path):
    aside = break_storage(tmp_path)
    for _ in range(3):
        mirror.copy()
    [note] = notes
    assert "the sweep goes on" in note
    assert "\n" not in note
    mend_storage(tmp_path, aside)
    mirror.start()
    mirror.finish()
    assert mirror.lacking == ""
    assert stored(tmp_path)["journal.log"] == b"one\n"
    assert DRIVER_FILE not in stored(tmp_path)


def test_what_did_not_get_there_is_named_at_the_end(mirror, folder, notes, tmp_path):
    mirror.start()
    break_storage(tmp_path)
    mirror.finish()
    assert "3 files did not get to" in mirror.lacking
    assert "study.yaml, sweep.json, journal.log" in mirror.lacking
    assert "kdsweep resume toy copies them" in mirror.lacking
    assert len(notes) == 1


def test_one_file_that_cannot_be_read_does_not_hold_up_the_ledger(mirror, folder, storage):
    (folder.path / "sweep.json").write_text("damaged")
    mirror.start()
    mirror.finish()
    assert storage.read("journal.log") == b"one\n"
    assert "sweep.json" in mirror.lacking


def test_copying_goes_on_in_the_background(folder, storage, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_module, "PERIOD_S", 0.02)
    with kept(f"file://{tmp_path}/stored", folder, pytest.fail):
        for count in range(1, 4):
            folder.journal.write_bytes(b"line\n" * count)
            until = time.monotonic() + 20
            while storage.read("journal.log") != b"line\n" * count:
                assert time.monotonic() < until
                time.sleep(0.01)
    assert "kdsweep-mirror" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_ended_the_sweep_does_not_matter(folder, storage, tmp_path, error):
    with pytest.raises(error), kept(f"file://{tmp_path}/stored", folder, pytest.fail):
        raise error
    assert storage.read("journal.log") == b"one\n"
    assert storage.read(DRIVER_FILE) is None


def foreign(storage: Storage, **changes: object) -> dict[str, object]:
    """Note a driver of another machine in storage."""
    driver = {
        "id": "other", "host": "far", "place": "far away", "pid": 7, "created": 1.0,
        "renewed_ms": ManualClock().epoch_ms(),
    } | changes  # fmt: skip
    storage.write(DRIVER_FILE, json.dumps(driver).encode())
    return driver


def test_a_second_driver_is_refused_until_the_first_has_been_silent(storage):
    foreign(storage)
    clock = ManualClock()
    with pytest.raises(ConfigError, match=r"run by process 7 on far.*stop it there") as refused:
        StorageLease(storage, clock).take()
    assert "try again in 90 s" in str(refused.value)
    clock.now_s = 3 * PERIOD_S - 1
    with pytest.raises(ConfigError, match="try again in 1 s"):
        StorageLease(storage, clock).take()
    clock.now_s = 3 * PERIOD_S
    StorageLease(storage, clock).take()


def test_a_note_is_renewed_with_every_copy(mirror, storage):
    clock = ManualClock()
    mirror._lease._clock = clock
    for now_s in (PERIOD_S, 2 * PERIOD_S, 5 * PERIOD_S):
        clock.now_s = now_s
        mirror.copy()
        with pytest.raises(ConfigError, match="said so 0 s ago"):
            StorageLease(storage, clock).check_free()


def test_a_damaged_note_is_nobodys(storage):
    for content in (b"", b"{}", b"[1]", b"\xff"):
        storage.write(DRIVER_FILE, content)
        StorageLease(storage, ManualClock()).check_free()


HOLD = (
    "import sys; from sweeps.storage import open_storage; from sweeps.clock import SystemClock\n"
    "from sweeps.storage_lease import StorageLease\n"
    "StorageLease(open_storage(sys.argv[1], 'toy'), SystemClock()).take()\n"
    "print(1, flush=True); sys.stdin.read()\n"
)


def test_a_driver_that_was_killed_on_this_machine_is_not_waited_for(storage, tmp_path):
    from sweeps.clock import SystemClock

    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"file://{tmp_path}/stored"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline() == b"1\n"
        with pytest.raises(ConfigError, match=f"{process.pid} on {socket.gethostname()}"):
            StorageLease(storage, SystemClock()).take()
        process.kill()
        process.wait()
        StorageLease(storage, SystemClock()).take()


def test_a_driver_that_was_replaced_stops_and_overwrites_nothing(
    mirror, folder, storage, notes, tmp_path, monkeypatch
):
    monkeypatch.setattr(mirror_module, "PERIOD_S", 0.3)
    mirror.copy()
    driver = foreign(storage)
    storage.write("journal.log", b"one\nof the other\n")
    folder.journal.write_bytes(b"one\nof this one\n")
    mirror.start()
    with pytest.raises(KeyboardInterrupt):
        signal.pause()
    mirror.finish()
    assert storage.read("journal.log") == b"one\nof the other\n"
    assert json.loads(storage.read(DRIVER_FILE)) == driver
    assert "another driver's now, process 7 on far" in mirror.lacking
    assert len(notes) == 1
