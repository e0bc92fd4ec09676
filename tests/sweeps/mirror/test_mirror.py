import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_storage import Counting, begun_sweep, mirror_of
from toy_study import ManualClock, toy_study

from sweeps.common.interrupts import Interrupts
from sweeps.ledger.launch_settings import SweepSettings, read_settings, write_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.mirror import mirror as mirror_module
from sweeps.mirror.mirror import PATIENCE_S, Mirror
from sweeps.mirror.restore import kept
from sweeps.mirror.storage import open_storage
from sweeps.mirror.storage_lock import DRIVER_FILE, StorageLease

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path):
    return begun_sweep(tmp_path / "runs" / "toy")


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
    return Mirror(storage, lease, folder, notes.append, Interrupts())


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


def finish_trial(folder: SweepFolder) -> str:
    """Finish one more trial of a sweep with a real ledger; return where its weights are kept."""
    study = toy_study()
    known = folder.journal.is_file() and folder.journal.read_bytes().startswith(b"{")
    if not known:
        folder.journal.unlink(missing_ok=True)
    ledger = Ledger.open(folder.journal) if known else Ledger.create(folder.journal, study)
    number, _ = ledger.ask(study.space)
    (folder.weights / f"trial-{number}.safetensors").write_bytes(b"our own")
    metrics, sha256 = {"val_nmse_db": 0.0, "ue_flops": 1.0}, hashlib.sha256(b"our own").hexdigest()
    ledger.complete(number, (0.0, 1.0), metrics, {}, sha256)
    return f"weights/trial-{number}.safetensors"


def test_the_next_driver_copies_weights_only_if_the_stored_ledger_does_not_vouch_for_them(
    folder, storage, tmp_path
):
    known = finish_trial(folder)
    ledger = folder.journal.read_bytes()
    new = finish_trial(folder)
    storage.write("journal.log", ledger)
    for path in (known, new):  # of the same size
        storage.write(path, b"another")
    with kept(f"file://{tmp_path}/stored", folder, pytest.fail, Interrupts()):
        pass
    assert stored(tmp_path)[known] == b"another"
    assert stored(tmp_path)[new] == b"our own"
    assert stored(tmp_path)["journal.log"] == folder.journal.read_bytes()


def test_weights_that_were_damaged_here_do_not_replace_those_in_storage(folder, storage, tmp_path):
    path, notes = finish_trial(folder), []
    for _ in range(2):  # the second driver finds them damaged
        with kept(f"file://{tmp_path}/stored", folder, notes.append, Interrupts()):
            assert (path in stored(tmp_path)) == (folder.path / path).read_bytes().startswith(
                b"OUR"
            )
        (folder.path / path).write_bytes(b"OUR OWN")
    assert stored(tmp_path)[path] == b"our own"
    assert path in notes[-1]


def test_teachers_are_copied_by_the_first_driver_and_again_only_if_they_differ(folder, storage):
    for part in ("weights.safetensors", "outputs.safetensors", "card.json"):
        (folder.teachers / "t").mkdir(parents=True, exist_ok=True)
        (folder.teachers / "t" / part).write_text("one")
    counts = []
    for _ in range(3):
        there = Counting(storage)
        mirror = mirror_of(there, folder, ManualClock())
        mirror.teachers = ("t",)
        mirror.copy()
        mirror._lease.release()
        counts.append(sum(path.startswith("teachers/") for path in there.written))
        if len(counts) == 2:  # trained anew: the sizes are the same, the hashes in the card are not
            (folder.teachers / "t" / "weights.safetensors").write_text("two")
            (folder.teachers / "t" / "card.json").write_text("two")
    assert counts == [3, 0, 3]
    assert storage.read("teachers/t/weights.safetensors") == b"two"


class Busy(type(Path())):
    """A folder in which something happens while it is looked at."""

    happens: Callable[[], None]

    def iterdir(self):
        found = list(super().iterdir())
        Busy.happens()
        return iter(found)


def test_a_trial_that_is_finished_in_storage_has_its_weights_there(folder, storage, monkeypatch):
    """Whatever the sweep does between two steps of ours: before a write, and while we look."""
    count = itertools.count()

    def finish(_path: str = "") -> None:
        number = next(count)
        (folder.weights / f"trial-{number}").write_bytes(b"w")
        with folder.journal.open("ab") as journal:
            journal.write(f"trial-{number} finished\n".encode())

    folder.journal.write_bytes(b"")
    busy = mirror_of(Counting(storage, finish), folder, ManualClock())
    Busy.happens = staticmethod(finish)
    monkeypatch.setattr(folder, "weights", Busy(folder.weights))
    for _ in range(5):
        busy.copy()
        lines = (storage.read("journal.log") or b"").decode().splitlines()
        finished = {f"weights/{line.split()[0]}" for line in lines}
        assert finished <= set(storage.sizes("weights"))
    assert len(finished) > 5


@pytest.mark.parametrize("kind", ["weights", "report"])
def test_a_file_that_is_not_taken_holds_up_no_other_and_the_ledger_only_if_it_needs_it(
    folder, storage, kind
):
    for name in ("weights", "report"):
        for number in range(4):
            (folder.path / name).mkdir(exist_ok=True)
            (folder.path / name / f"{number}").write_bytes(b"w")
    bad = {f"{kind}/1"}

    def refuse(path: str) -> None:
        if path in bad:
            raise OSError(5, "Input/output error")

    notes = []
    mirror = mirror_of(Counting(storage, refuse), folder, ManualClock(), note=notes.append)
    for _ in range(2):
        mirror.copy()
        found = set(storage.sizes("weights")) | set(storage.sizes("report"))
        assert found == {f"{name}/{n}" for name in ("weights", "report") for n in range(4)} - bad
        assert storage.read("journal.log") == (None if kind == "weights" else b"one\n")
    assert len(notes) == 1
    bad.clear()
    mirror.copy()
    assert storage.sizes(kind)[f"{kind}/1"] == 1
    assert storage.read("journal.log") == b"one\n"


def test_a_sweep_that_was_never_begun_leaves_its_name_free(mirror, folder, tmp_path):
    folder.journal.unlink()
    mirror.start()
    mirror.finish(PATIENCE_S)
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
    assert "the sweep continues" in note
    assert "\n" not in note
    mend_storage(tmp_path, aside)
    mirror.start()
    mirror.finish(PATIENCE_S)
    assert mirror.lacking == ""
    assert stored(tmp_path)["journal.log"] == b"one\n"
    assert DRIVER_FILE not in stored(tmp_path)


def test_what_did_not_get_there_is_named_at_the_end(mirror, folder, notes, tmp_path):
    mirror.start()
    break_storage(tmp_path)
    mirror.finish(PATIENCE_S)
    assert "3 files" in mirror.lacking
    assert "study.yaml, sweep.json, journal.log" in mirror.lacking
    assert "kdsweep resume toy copies them" in mirror.lacking
    assert len(notes) == 1


def test_one_file_that_cannot_be_read_does_not_hold_up_the_ledger(mirror, folder, storage):
    (folder.path / "sweep.json").write_text("damaged")
    mirror.start()
    mirror.finish(PATIENCE_S)
    assert storage.read("journal.log") == b"one\n"
    assert "sweep.json" in mirror.lacking


def test_copying_goes_on_in_the_background(folder, storage, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_module, "PERIOD_S", 0.02)
    with kept(f"file://{tmp_path}/stored", folder, pytest.fail, Interrupts()):
        for _ in range(3):
            with folder.journal.open("ab") as journal:  # never anything else, as the ledger does
                journal.write(b"line\n")
            until = time.monotonic() + 20
            while storage.read("journal.log") != folder.journal.read_bytes():
                assert time.monotonic() < until
                time.sleep(0.01)
    assert "kdsweep-mirror" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_ended_the_sweep_does_not_matter(folder, storage, tmp_path, error):
    with pytest.raises(error), kept(f"file://{tmp_path}/stored", folder, pytest.fail, Interrupts()):
        raise error
    assert storage.read("journal.log") == b"one\n"
    assert storage.read(DRIVER_FILE) is None


def test_nothing_ends_the_copying_neither_a_closed_terminal_nor_the_unexpected(
    folder, storage, monkeypatch
):
    monkeypatch.setattr(mirror_module, "PERIOD_S", 0.02)
    troubles = [OSError(110, "timed out"), RuntimeError("unexpected")]

    def fail(_path: str) -> None:
        if troubles:
            raise troubles.pop()

    def closed_terminal(_words: str) -> None:
        raise OSError(5, "Input/output error")

    there = Counting(storage)
    mirror = mirror_of(there, folder, ManualClock(), note=closed_terminal)
    there._on_write = fail
    mirror.start()
    until = time.monotonic() + 20
    while storage.read("journal.log") is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert troubles == []
    mirror.finish(PATIENCE_S)
    assert mirror.lacking == ""


def test_storage_that_does_not_answer_is_given_up(folder, storage, notes, monkeypatch):
    there = Counting(storage)
    mirror = mirror_of(there, folder, ManualClock(), note=notes.append)
    hangs = threading.Event()
    there._on_write = lambda _path: hangs.wait(60)
    mirror.start()
    begun_s = time.monotonic()
    mirror.finish(0.3)
    assert 0.3 <= time.monotonic() - begun_s < 60.0
    assert "3 files" in mirror.lacking
    assert "there (no answer for 0 s)" in mirror.lacking
    hangs.set()
    mirror._thread.join()
    assert storage.read("journal.log") is None  # it has stopped writing


def test_storage_that_is_slow_is_waited_for_while_it_takes_files(folder, storage):
    there = Counting(storage)
    mirror = mirror_of(there, folder, ManualClock())
    for number in range(8):
        (folder.weights / f"trial-{number}.safetensors").write_bytes(b"w")
    there._on_write = lambda _path: time.sleep(0.1)
    mirror.start()
    mirror.finish(0.8)
    assert mirror.lacking == ""
    assert storage.read("journal.log") == b"one\n"
    assert storage.read(DRIVER_FILE) is None
