import errno
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.ledger.process_lock import (
    LEASE_FILE,
    STARTING_PERIOD_S,
    Lease,
    ProcessRow,
    driving,
    end_processes,
    living,
    row_of,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
    "time.sleep(60)",
]
HOLD = (
    "import sys, time; from pathlib import Path; from sweeps.ledger.process_lock import driving\n"
    "import subprocess\n"
    "with driving(Path(sys.argv[1])) as lease:\n"
    "    with lease.starting():\n"
    "        sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
    "        child = subprocess.Popen(sleep, stdout=subprocess.DEVNULL)\n"
    "    print(child.pid, flush=True)\n"
    "    time.sleep(60)\n"
)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def other():
    """A process that is not ours to end."""
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def holder(tmp_path):
    """Another driver of the sweep in ``tmp_path``, and the number of its child."""
    driver = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    child = int(driver.stdout.readline())
    orphan = psutil.Process(child)
    yield driver, child
    driver.kill()
    driver.communicate()
    with suppress(psutil.NoSuchProcess):
        orphan.kill()


def test_a_second_driver_is_refused_and_the_first_is_named(tmp_path, holder):
    driver, child = holder
    with (
        pytest.raises(ConfigError, match=rf"being run by process {driver.pid} on .*Ctrl-C"),
        driving(tmp_path),
    ):
        raise AssertionError("there are two drivers")
    assert psutil.pid_exists(child)


def test_a_driver_in_the_same_process_is_refused_too(tmp_path):
    with driving(tmp_path), pytest.raises(ConfigError, match="being run"), driving(tmp_path):
        raise AssertionError("there are two drivers")
    with driving(tmp_path):
        pass


def test_what_a_killed_driver_left_is_ended_and_nothing_else(tmp_path, holder, other):
    driver, child = holder
    orphan = psutil.Process(child)
    driver.kill()
    driver.wait()
    assert orphan.is_running()
    with driving(tmp_path):
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert other.poll() is None
    assert not (tmp_path / LEASE_FILE).exists()


@pytest.mark.parametrize("host", [None, "another-machine"])
def test_a_number_that_is_anothers_by_now_is_left_alone(tmp_path, other, host):
    row = row_of(psutil.Process(other.pid))
    created = row.created if host else row.created - 1.0
    rows = [{"pid": other.pid, "created": created}]
    driver = {"pid": 1, "created": 0.0, "host": host or os.uname().nodename}
    (tmp_path / LEASE_FILE).write_text(json.dumps({"driver": driver, "processes": rows}))
    with driving(tmp_path):
        pass
    assert other.poll() is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"driver": 3}', "\x00\x00"])
def test_a_damaged_list_of_processes_stops_nobody(tmp_path, content):
    (tmp_path / LEASE_FILE).write_text(content)
    with driving(tmp_path):
        pass


def test_children_count_only_if_they_are_started_for_the_sweep(tmp_path, other):
    with driving(tmp_path) as lease:
        with lease.starting():
            ours = subprocess.Popen(SLEEP)
            time.sleep(3 * STARTING_PERIOD_S)
        later = subprocess.Popen(SLEEP)
        noted = json.loads((tmp_path / LEASE_FILE).read_text())["processes"]
        assert [row["pid"] for row in noted] == [ours.pid]
    ours.wait(5)  # what is left at the end is ended
    assert other.poll() is None
    assert later.poll() is None
    later.kill()
    later.wait()


def test_a_process_that_does_not_listen_is_ended_too():
    process = subprocess.Popen(STUBBORN, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    assert end_processes([row_of(psutil.Process(process.pid))]) == 1
    process.wait(5)
    process.stdout.close()


def test_this_process_and_the_dead_are_never_on_the_list():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    row = row_of(psutil.Process(gone.pid))
    gone.wait()
    me = row_of(psutil.Process())
    assert living([row, me, ProcessRow(2**22 + 1, 0.0)]) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    honest = os.open

    def refuse(path, flags, *mode):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return honest(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(UserError, match=r"Read-only file system; make it writable"),
        driving(tmp_path),
    ):
        raise AssertionError("it drives")


class Gate:
    """A lock after whose release by a thread another one is let in, until it is in the middle."""

    def __init__(self, first: threading.Thread, let_in: threading.Event, middle: threading.Event):
        self._lock = threading.Lock()
        self._first, self._let_in, self._middle = first, let_in, middle

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()
        if threading.current_thread() is self._first:
            self._let_in.set()
            self._middle.wait()


def test_the_end_of_starting_does_not_come_while_the_list_is_renewed(tmp_path):
    """Order: the last writing of `starting`, a renewal up to its middle, the end of `starting`."""
    lease, faults = Lease(tmp_path), []
    inside, leave, let_in, middle = (threading.Event() for _ in range(4))

    def start():
        with lease.starting():
            inside.set()
            leave.wait()

    def renew():
        let_in.wait()
        try:
            with lease._lock:
                lease._write()
        except TypeError as fault:
            faults.append(fault)
        middle.set()

    class Me:
        def children(self):
            if threading.current_thread() is renewing:
                middle.set()
                starting.join()
            return []

        pid, create_time = os.getpid(), time.time

    starting = threading.Thread(target=start)
    renewing = threading.Thread(target=renew)
    starting.start()
    inside.wait()
    lease._me = Me()
    lease._lock = Gate(starting, let_in, middle)
    renewing.start()
    leave.set()
    for thread in (starting, renewing):
        thread.join()
    assert faults == []
    assert json.loads((tmp_path / LEASE_FILE).read_text())["processes"] == []
