"""One driver per sweep: what a note in storage says, and what a driver does that was replaced."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
from in_process import Engine
from toy_storage import Counting, begun_sweep, mirror_of
from toy_study import ManualClock, toy_study

from kdtasks.contract.errors import ConfigError
from sweeps.common.clock import SystemClock
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.paths import SweepFolder
from sweeps.mirror import mirror as mirror_module
from sweeps.mirror.mirror import PATIENCE_S
from sweeps.mirror.storage import Storage, open_storage
from sweeps.mirror.storage_lock import DRIVER_FILE, PERIOD_S, StorageLease
from sweeps.progress.state import Utilisation
from sweeps.run.phases import Sweep, drive

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


def test_a_note_is_renewed_with_every_copy(folder, storage):
    clock = ManualClock()
    mirror = mirror_of(storage, folder, clock)
    for now_s in (PERIOD_S, 2 * PERIOD_S, 5 * PERIOD_S):
        clock.now_s = now_s
        mirror.copy()
        with pytest.raises(ConfigError, match="0 s ago"):
            StorageLease(storage, clock).check_free()


def test_a_damaged_note_is_nobodys(storage):
    for content in (b"", b"{}", b"[1]", b"\xff"):
        storage.write(DRIVER_FILE, content)
        StorageLease(storage, ManualClock()).check_free()


HOLD = (
    "import sys; from sweeps.mirror.storage import open_storage\n"
    "from sweeps.common.clock import SystemClock\n"
    "from sweeps.mirror.storage_lock import StorageLease\n"
    "StorageLease(open_storage(sys.argv[1], 'toy'), SystemClock()).take()\n"
    "print(1, flush=True); sys.stdin.read()\n"
)


def test_a_driver_that_was_killed_on_this_machine_is_not_waited_for(storage, tmp_path):
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
    folder, storage, notes, monkeypatch
):
    monkeypatch.setattr(mirror_module, "PERIOD_S", 0.1)
    interrupts = Interrupts()
    mirror = mirror_of(storage, folder, ManualClock(), note=notes.append, interrupts=interrupts)
    mirror.copy()
    driver = foreign(storage)
    storage.write("journal.log", b"one\nof the other\n")
    folder.journal.write_bytes(b"one\nof this one\n")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of some shells
    try:
        mirror.start()
        until = time.monotonic() + 20
        while not interrupts.requested():
            assert time.monotonic() < until
            time.sleep(0.01)
        mirror.finish(PATIENCE_S)
    finally:
        signal.signal(signal.SIGINT, before)
    assert mirror.lost
    assert storage.read("journal.log") == b"one\nof the other\n"
    assert json.loads(storage.read(DRIVER_FILE)) == driver
    assert "driven by another driver, process 7 on far" in mirror.lacking
    assert len(notes) == 1


class Sleeper:
    """A driver on whose machine, while it sleeps, another begins where it was, and ends."""

    def __init__(self, storage: Storage, folder: SweepFolder, asleep_at: str) -> None:
        self.clock, self.interrupts = ManualClock(), Interrupts()
        self.notes: list[str] = []
        self._storage, self._elsewhere = storage, folder.path.parent.parent / "elsewhere" / "toy"
        self._asleep_at, self._awake = asleep_at, True
        self.mirror = mirror_of(
            Counting(storage, self._sleep),
            folder,
            self.clock,
            note=self.notes.append,
            interrupts=self.interrupts,
        )

    def tire(self) -> None:
        self._awake = False

    def _sleep(self, path: str) -> None:
        if path == self._asleep_at and not self._awake:
            self._awake = True
            self.clock.now_s += 4 * PERIOD_S
            other = begun_sweep(self._elsewhere)
            other.journal.write_bytes(b"one\nof the other\n")
            (other.weights / "trial-1.safetensors").write_bytes(b"of the other")
            guest = mirror_of(self._storage, other, self.clock)
            guest.copy()
            guest._lease.release()


@pytest.mark.parametrize("asleep_at", [DRIVER_FILE, "study.yaml", "log.jsonl"])
def test_a_driver_that_slept_while_another_came_and_went_overwrites_nothing(
    folder, storage, asleep_at
):
    """When it wakes up, nobody's note is there: only the ledger tells."""
    sleeper = Sleeper(storage, folder, asleep_at)
    sleeper.mirror.copy()
    folder.study.write_text("changed")
    folder.log.write_text("line\n")
    folder.journal.write_bytes(b"one\nof this one\n")
    if asleep_at != "log.jsonl":  # which comes after the weights
        (folder.weights / "trial-1.safetensors").write_bytes(b"of this one")
    sleeper.tire()
    for _ in range(2):
        sleeper.mirror.copy()
    assert storage.read("journal.log") == b"one\nof the other\n"
    assert storage.read("weights/trial-1.safetensors") == b"of the other"
    assert storage.read(DRIVER_FILE) is None
    assert sleeper.mirror.lost
    assert sleeper.interrupts.requested()
    assert "resumed by another driver" in sleeper.mirror.lacking
    assert len(sleeper.notes) == 1


class Replaced:
    """A sweep whose driver is told to stop, because another has taken it over."""

    def __init__(self, engine: Engine) -> None:
        self.recorder, self.utilisation = engine.recorder, Utilisation(1, engine.clock)
        self.study, self.folder, self.tracking_uri = engine.study, engine.folder, ""
        self._engine, self.display = engine, engine.display

    def searched(self) -> str:
        return ""

    def work_left(self) -> bool:
        ledger = self._engine.ledger
        with self.recorder.deferring():
            self.recorder.lost = lambda: "another driver has taken the sweep over"
            number, _ = ledger.ask(self.study.space)
            ledger.fail(number, "interrupted")
            self.recorder.trial(number)
        raise KeyboardInterrupt


def test_a_replaced_driver_writes_nothing_more_to_mlflow(tmp_path):
    engine = Engine(toy_study(), tmp_path)
    engine.teach()
    before = set(engine.tracker.children)
    summary = drive(cast("Sweep", Replaced(engine)))
    assert summary.interrupted
    assert summary.ended == "another driver has taken the sweep over"
    engine.recorder.give_up()
    assert set(engine.tracker.children) == before
    assert engine.tracker.ended == []
    assert engine.tracker.metrics == {}


def test_in_a_long_copy_the_note_does_not_grow_old(folder, storage):
    clock = ManualClock()

    def take_long(path: str) -> None:
        if path != DRIVER_FILE:
            clock.now_s += 40
            with pytest.raises(ConfigError, match="try again"):
                StorageLease(storage, clock).check_free()

    for number in range(5):
        (folder.weights / f"trial-{number}.safetensors").write_bytes(b"w")
    mirror = mirror_of(Counting(storage, take_long), folder, clock)
    mirror.copy()
    assert storage.read("journal.log") == b"one\n"
