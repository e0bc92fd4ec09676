"""A sweep whose machine is lost, and one whose storage is: real drivers, as people start them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import kdsweep

from benchmarks.kill_resume import ROOT, Output, finished, trials_of, write_study
from sweeps.common.records import TrialRecord
from sweeps.mirror.storage_lock import DRIVER_FILE
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

TRIALS = 6
OFTEN = (
    "import sys; import sweeps.mirror.mirror; sweeps.mirror.mirror.PERIOD_S = 0.1\n"
    "from sweeps.cli.main import main; main(sys.argv[1:])"
)
"""The command, with what has changed copied ten times a second."""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", OFTEN, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "KDSWEEP_STORAGE": f"file://{folder}/stored",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_trials(sweep: Path, count: int) -> None:
    until = time.monotonic() + 60
    while len(finished(trials_of(sweep))) < count:
        assert time.monotonic() < until
        time.sleep(0.05)


def copied(folder: Path, sweep: Path) -> bool:
    stored = folder / "stored" / "toy"
    names = ("journal.log", "study.yaml", "report/report.html", "report/front.json")
    pairs = [(stored / name, sweep / name) for name in names]
    weights = sorted(path.name for path in (sweep / "weights").iterdir())
    assert weights == sorted(path.name for path in (stored / "weights").iterdir())
    return all(there.read_bytes() == here.read_bytes() for there, here in pairs)


def lose_machine(folder: Path) -> dict[int, TrialRecord]:
    """Run a sweep until its driver and its home are lost; return what is finished in storage."""
    driver = start(folder, "run", "toy.yaml", "--backend", "inline")
    Output(driver)
    wait_for_trials(folder / "stored" / "toy", 2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    shutil.rmtree(folder / "runs")
    return finished(trials_of(folder / "stored" / "toy"))


RESUME = ("resume", "toy", "--home", "elsewhere", "--backend", "inline")


def lose_storage(folder: Path) -> str:
    """Go on in another home until the end, without storage; return what was shown."""
    driver = start(folder, *RESUME)
    shown, stored = Output(driver), folder / "stored" / "toy"
    assert shown.wait_for("searching"), shown.text
    stored.rename(folder / "aside")
    stored.write_text("in the way")
    assert driver.wait(120) == 0, shown.text
    shown.wait_for("nothing more")  # returns at the end of what is shown
    return shown.text


@pytest.mark.usefixtures("own_folder")
def test_a_sweep_outlives_its_machine_and_the_loss_of_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, TRIALS)
    known = lose_machine(tmp_path)
    sweep, stored = tmp_path / "elsewhere" / "toy", tmp_path / "stored" / "toy"

    shown = lose_storage(tmp_path)
    done = finished(trials_of(sweep))
    assert len(done) == TRIALS
    assert all(done[number] == trial for number, trial in known.items())
    assert verify_sweep(sweep) == []
    assert shown.count("the sweep continues") == 1
    last = shown.splitlines()[-1]
    assert last.startswith("storage:")
    assert "kdsweep resume toy" in last

    stored.unlink()
    (tmp_path / "aside").rename(stored)
    monkeypatch.setenv("KDSWEEP_STORAGE", f"file://{tmp_path}/stored")
    code, again, errors = kdsweep(capsys, *RESUME)
    assert (code, "storage:" in again) == (0, False), errors
    assert copied(tmp_path, sweep)
    assert not (stored / DRIVER_FILE).exists()
    assert finished(trials_of(sweep)) == done


@pytest.mark.usefixtures("own_folder")
def test_an_unreachable_storage_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, TRIALS)
    (tmp_path / "stored").write_text("a file where the folder should be")
    monkeypatch.setenv("KDSWEEP_STORAGE", f"file://{tmp_path}/stored")
    for command in (("run", "toy.yaml"), ("resume", "toy")):
        code, _, errors = kdsweep(capsys, *command)
        assert code == 2
        assert "kdsweep: file://" in errors.splitlines()[-1]
        assert "Traceback" not in errors
        assert not (tmp_path / "runs" / "toy").exists()
