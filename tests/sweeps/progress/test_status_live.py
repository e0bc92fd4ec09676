"""`kdsweep status` beside a sweep that runs in another process, until its terminal is closed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from command_line import kdsweep
from toy_study import toy_study

from sweeps.progress.status import StatusReader, SweepStatus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[3]
CALL = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])"
PATIENCE_S = 120.0


def wait_for(reader: StatusReader, wanted: Callable[[SweepStatus], bool]) -> SweepStatus:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        status = reader.read(time.time())
        if wanted(status):
            return status
        time.sleep(0.2)
    raise AssertionError(f"it never came to that: {status}")


def test_a_sweep_is_followed_from_outside_and_ends_with_its_terminal(tmp_path, capsys):
    study = toy_study(parameters={"epochs": 20, "epoch_s": 0.4}, budget={"trials": 50})
    (tmp_path / "toy.yaml").write_text(study.text)
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "sweeps")))
    run = ["run", "toy.yaml", "--slots", "1", "--transport", "inprocess"]
    terminal = subprocess.Popen(  # whoever holds the other end of the pty is the terminal
        [sys.executable, "-c", TERMINAL, sys.executable, "-c", CALL, *run],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    reader = StatusReader(tmp_path / "runs" / "toy")
    try:
        begun = wait_for(reader, lambda status: status.state == "running")
        assert begun.pid in {child.pid for child in psutil.Process(terminal.pid).children()}
        # teachers report epochs before the search begins
        status = wait_for(
            reader,
            lambda status: status.phase == "search" and any(one.epoch for one in status.running),
        )
        assert status.budget == 50
        assert status.running[0].epochs == 20
        code, shown, _ = kdsweep(capsys, "status", "toy", "--home", str(tmp_path / "runs"))
        assert code == 0
        assert f"process {begun.pid} on" in shown
        driver = psutil.Process(begun.pid)
        ours = [driver, *driver.children(recursive=True)]
    finally:
        terminal.kill()  # its end of the pty is closed, and the kernel hangs up
        terminal.wait()
    ended = wait_for(reader, lambda status: status.state not in ("running", "died"))
    assert (ended.state, ended.why) == ("interrupted", "the user stopped the sweep")
    assert (ended.failed, ended.running) == (0, ())
    assert psutil.wait_procs(ours, timeout=20)[1] == []
