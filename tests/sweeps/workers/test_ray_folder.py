"""The folder of a sweep's own Ray: private, short, gone at the end, told from other clusters."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdtasks.contract.errors import UserError
from sweeps.run import ray_cluster
from sweeps.run.ray_cluster import running_cluster
from sweeps.workers import ray_safety
from sweeps.workers.ray_safety import LONGEST_SOCKET, PREFIX, SOCKET, YOUNG_S, remove_abandoned

ROOT = Path(__file__).resolve().parents[3]
HOLD = (
    "import sys, time; from sweeps.workers.ray_safety import ray_folder\n"
    "with ray_folder() as folder:\n"
    "    (folder / 'r').mkdir()\n"
    "    print(folder, flush=True)\n"
    "    exec(sys.argv[1])\n"
)


@pytest.fixture
def place(monkeypatch):
    """A short place for the folders of tests alone."""
    found = Path(f"/tmp/kt{os.getpid()}")  # noqa: S108 - short
    found.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(found))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield found
    for left in found.iterdir():
        (left / "r").rmdir() if (left / "r").exists() else None
        left.rmdir()
    found.rmdir()


def driver(ending):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, ending],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_it_is_private_and_its_sockets_have_short_names(place):
    before = os.umask(0)
    try:
        with ray_safety.ray_folder() as folder:
            assert folder.parent == place
            assert folder.stat().st_mode & 0o777 == 0o700
            assert len(f"{folder}{SOCKET}") <= LONGEST_SOCKET
            (folder / "r").mkdir()
    finally:
        os.umask(before)
    assert not folder.exists()


@pytest.mark.parametrize(
    "ending",
    ["pass", "sys.exit(3)", "raise ValueError", "raise KeyboardInterrupt", "1 / 0"],
)
def test_it_is_gone_however_its_driver_ends(place, ending):
    process = driver(ending)
    folder = Path(process.stdout.readline().strip())
    process.communicate()
    assert folder.parent == place
    assert not folder.exists()


def test_a_thread_that_is_still_inside_at_exit_leaves_nothing(place):
    code = (
        "import threading, time; from sweeps.workers.ray_safety import ray_folder\n"
        "def hold():\n"
        "    with ray_folder() as folder:\n"
        "        print(folder, flush=True); up.set(); time.sleep(60)\n"
        "up = threading.Event(); threading.Thread(target=hold, daemon=True).start(); up.wait()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip()
    assert not Path(done.stdout.strip()).exists()


def test_the_next_driver_removes_what_a_killed_one_left_and_nothing_else(place):
    dead, alive = driver("time.sleep(60)"), driver("time.sleep(60)")
    left, used = (Path(one.stdout.readline().strip()) for one in (dead, alive))
    dead.kill()
    dead.communicate()
    young = place / f"{PREFIX}young"
    young.mkdir()
    (place / f"{PREFIX}link").symlink_to(used)
    try:
        old = time.time() - 2 * YOUNG_S
        for folder in (left, used):
            os.utime(folder, (old, old))
        with ray_safety.ray_folder():
            assert not left.exists()
            assert used.exists()
            assert young.exists()
    finally:
        alive.terminate()
        alive.communicate()
        (place / f"{PREFIX}link").unlink()
    os.utime(young, (old, old))
    number = os.open(young, os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_EX)
    remove_abandoned(place)
    assert young.exists()
    assert not used.exists()  # its driver has ended, too
    os.close(number)
    remove_abandoned(place)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 110, "größe"])
def test_a_place_that_sockets_cannot_have_is_passed_over(tmp_path, monkeypatch, name):
    unfit = tmp_path / name
    unfit.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(unfit))
    with ray_safety.ray_folder() as folder:
        assert folder.parent != unfit
        assert len(f"{folder}{SOCKET}") <= LONGEST_SOCKET
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match=r"TMPDIR is .*export TMPDIR=/tmp"), ray_safety.ray_folder():
        raise AssertionError("there is a place")


class Process:
    def __init__(self, *command):
        self.info = {"cmdline": list(command)}


def raylet(address, folder="/ray/session_1"):
    sockets = f"--raylet_socket_name={folder}/sockets/raylet"
    return Process("/lib/ray/raylet", sockets, f"--python=worker.py --gcs-address={address} --x")


OURS = raylet("10.0.0.1:1", f"/{PREFIX}abcd1234/r/session_1")
NOISE = [Process(), Process(""), Process("grep", "--gcs-address=10.9.9.9:9"), Process("a b c")]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of processes that a test makes up, and where Ray's note is."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_cluster, "CURRENT", tmp_path / "current")

    def set_up(*processes, noted=None):
        found = [*NOISE, *processes]
        monkeypatch.setattr(ray_cluster.psutil, "process_iter", lambda _: iter(found))
        if noted:
            (tmp_path / "current").write_text(f"{noted}\n")

    return set_up


@pytest.mark.parametrize("address", ["10.0.0.2:6379", "[fd00::2]:6379"])
def test_auto_is_the_cluster_that_runs_here_and_never_that_of_a_sweep(machine, address):
    machine(OURS, raylet(address), OURS)
    assert running_cluster() == address


def test_auto_without_a_cluster_is_refused_also_beside_another_sweep(machine):
    machine(OURS)
    with pytest.raises(UserError, match=r"--address auto.*sweeps.*local"):
        running_cluster()


def test_of_several_clusters_that_which_ray_start_has_noted_counts(machine):
    two = (raylet("10.0.0.2:1"), raylet("10.0.0.3:1"))
    machine(*two)
    with pytest.raises(UserError, match=r"10\.0\.0\.2:1, 10\.0\.0\.3:1"):
        running_cluster()
    machine(*two, noted="10.0.0.3:1")
    assert running_cluster() == "10.0.0.3:1"
    machine(two[0], noted="10.0.0.9:1")  # of a cluster that is gone
    assert running_cluster() == "10.0.0.2:1"
    machine(OURS, noted="10.0.0.9:1")  # processes of others may be hidden from this one
    assert running_cluster() == "10.0.0.9:1"


def test_an_address_in_the_environment_comes_before_a_search(machine, monkeypatch):
    machine(raylet("10.0.0.2:1"))
    for unset in ("", "auto", "local"):
        monkeypatch.setenv("RAY_ADDRESS", unset)
        assert running_cluster() == "10.0.0.2:1"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:1")
    assert running_cluster() == "10.0.0.5:1"
