"""Stopped by a kill, by Ctrl-C, or finished and extended: real drivers, as a person starts them."""

import signal
import time
from pathlib import Path

import psutil
import pytest
import yaml
from command_line import kdsweep

from benchmarks import kill_resume
from benchmarks.kill_resume import (
    Output,
    kill_loop,
    rows_of,
    start,
    trials_of,
    write_study,
)
from sweeps.common.records import TrialState
from sweeps.ledger.process_lock import living
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]


@pytest.mark.usefixtures("own_folder")
def test_p4_kills_lose_nothing_and_repeat_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after 3 of 16 trials, Tune ran 16 more; three stores kept trials running for ever."""

    def begin(folder: Path, *arguments: str) -> object:
        """Start a driver; in this process if it is to reach the end."""
        own = "inline" in arguments
        return kdsweep(capsys, *arguments) if own else start(folder, *arguments)

    def ended(shown: tuple[int, str, str]) -> None:
        assert (shown[0], "MLflow UI" in shown[1]) == (0, True), shown[2]

    monkeypatch.setattr(kill_resume, "start", begin)
    monkeypatch.setattr(kill_resume, "to_the_end", ended)
    phases = ("teachers", "search", "confirm")  # a hundred kills: benchmarks/kill_resume.py
    result = kill_loop(tmp_path, phases, trials=6, seed=4)
    assert result.kills == dict.fromkeys(phases, 1)
    assert result.interrupted >= 1


def test_ctrl_c_ends_long_steps_soon_and_names_the_resume_command(tmp_path: Path) -> None:
    write_study(tmp_path, 3)
    slow = yaml.safe_load((tmp_path / "toy.yaml").read_text())
    points = [{"method": "vanilla", "width": [1, 2]}, {"method": "vanilla", "epoch_s": 200.0}]
    slow |= {"space": {}, "search": {"sampler": "points", "points": points}}
    slow["parameters"] = {"epochs": 1}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(slow))
    driver = start(tmp_path, "run", "toy.yaml", "--slots", "1")
    shown, sweep = Output(driver), tmp_path / "runs" / "toy"
    assert shown.wait_for("searching"), shown.text
    while sum(bool(trial.started_ms) for trial in trials_of(sweep)) < 3:
        assert driver.poll() is None, shown.text
        time.sleep(0.1)
    time.sleep(1.5)  # it is in the middle of its step
    rows = rows_of(sweep)
    bystander = psutil.Process()
    assert len(rows) >= 5
    driver.send_signal(signal.SIGINT)
    assert driver.wait(90) == 130  # measured 4 to 5 s; the step would take 200
    assert living(rows) == []
    assert bystander.is_running()
    shown.wait_for("resume:")
    assert "resume toy" in shown.text
    *before, trial = trials_of(sweep)
    assert [one.state for one in before] == [TrialState.COMPLETE] * 2
    assert (trial.state, trial.interrupted) == (TrialState.FAIL, True)
    assert verify_sweep(sweep) == []
