"""Trials one after the other in this process: the same numbers, and Ctrl-C at once."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from in_process import Engine
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import TeacherArtifact
from sweeps.cli.run import _request_of
from sweeps.common.capacity import ResourceRequest
from sweeps.common.interrupts import Interrupts
from sweeps.common.records import TrialState
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.ledger.ledger import Ledger
from sweeps.run.phases import closing_trials
from sweeps.run.site import InlinePool, InlineSite, find_site

HERE = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (ResourceRequest(slots=2), "slots is 2"),
        (ResourceRequest(actors=1), "actors is 1"),
        (ResourceRequest(address="10.0.0.1:6379"), "address is 10.0.0.1:6379"),
    ],
)
def test_what_it_cannot_give_is_refused_with_the_fix(wanted, named):
    settings = SweepSettings(request=replace(wanted, backend="inline"))
    with pytest.raises(ConfigError, match=rf"{named}.*leave {named.split()[0]} out.*backend ray"):
        find_site(toy_study(), settings)


@pytest.mark.parametrize(
    "wanted",
    [
        ResourceRequest(),
        ResourceRequest(slots=1),
        ResourceRequest(address="local", transport="inprocess"),
    ],
)
def test_one_trial_at_once_is_what_it_gives(wanted):
    site = find_site(toy_study(), SweepSettings(request=replace(wanted, backend="inline")))
    assert (site.allocation.slots, site.allocation.actors) == (1, 0)


def resumed(folder, **given):
    return _request_of(folder, {"slots": None, "address": None, "backend": None, **given})


def test_a_sweep_continues_inline_whatever_ray_was_requested(tmp_path):
    requested = ResourceRequest(slots=4, actors=2, address="10.0.0.1:6379")
    write_settings(tmp_path, SweepSettings(request=requested))
    assert resumed(tmp_path) is None
    assert resumed(tmp_path, slots=2) == replace(requested, slots=2)
    assert resumed(tmp_path, backend="inline") == ResourceRequest(backend="inline")
    write_settings(tmp_path, SweepSettings(request=ResourceRequest(backend="inline")))
    assert resumed(tmp_path) is None
    assert resumed(tmp_path, backend="ray", slots=2) == ResourceRequest(slots=2)


def test_shared_arrays_cannot_be_written_to():
    pool, array = InlinePool(Interrupts()), np.zeros(3)
    teacher = TeacherArtifact(metrics={}, weights={"w": array}, outputs={"o": array})
    for shared in (pool.put({"x": array})["x"], pool.put(teacher).weights["w"]):
        with pytest.raises(ValueError, match="read-only"):
            shared[0] = 1.0
    array[0] = 1.0  # the owner's own stays as it is


def test_ctrl_c_ends_a_training_at_once_and_the_trial_runs_again(tmp_path, monkeypatch):
    """The signal comes in the middle of an epoch that never ends."""
    engine = Engine(toy_study(budget={"trials": 2}), tmp_path)
    engine.teach()
    original = type(engine.task).train_student

    def endless(self, params, train, val, teacher):
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass
        yield

    monkeypatch.setattr("toy_task.ToyTask.train_student", endless)
    session = engine.session()
    with (
        pytest.raises(KeyboardInterrupt),
        engine.interrupts.installed(),
        closing_trials(session),
        engine.interrupts.deferred(),
    ):
        InlineSite().search(session, tmp_path, engine.interrupts)
    [trial] = engine.ledger.trials()
    assert trial.interrupted
    monkeypatch.setattr("toy_task.ToyTask.train_student", original)
    engine.interrupts = Interrupts()
    engine.ledger.recover()
    engine.search()
    states = [one.state for one in engine.ledger.trials()]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def test_a_trial_that_leaves_the_process_fails_alone(tmp_path):
    engine = Engine(toy_study(task="wrong_types:Leaving", budget={"trials": 3}), tmp_path)
    engine.teach()
    engine.search()
    assert [trial.state for trial in engine.ledger.trials()] == [TrialState.FAIL] * 3


COMMANDS = """
import contextlib, json, sys
from sweeps.cli.main import main

for line in sys.argv[1:]:
    name, *words = line.split()
    with open(f"{name}.out", "w") as out, contextlib.redirect_stdout(out):
        try:
            main([name, *words, "--home", "home"])
        except SystemExit as stop:
            assert not stop.code, line
    assert "ray" not in sys.modules
"""
POINTS = [
    {"method": ["vanilla", "kd"], "width": 2, "x": 0.5},
    {"flaw": "raise", "method": "kd", "width": 2, "x": 0.5},
]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_sweep_runs_from_data_to_report_without_ray(tmp_path):
    study = toy_study(search={"sampler": "points", "points": POINTS})
    (tmp_path / "toy.yaml").write_text(study.text)
    commands = (
        "run toy.yaml --backend inline --name toy",
        "status toy --timing --json",
        "verify toy",
    )
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *commands],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = (tmp_path / "run.out").read_text()
    assert "2 trials finished, 1 failed" in shown
    assert "status toy --failed" in shown
    folder = tmp_path / "home" / "toy"
    assert (folder / "report" / "report.html").is_file()
    trials = Ledger.open(folder / "journal.log").trials()
    engine = Engine(study, tmp_path / "other")
    engine.teach()
    engine.search()
    for one, other in zip(trials, engine.ledger.trials(), strict=True):
        assert one.reason == other.reason
        numbers = [{n: v for n, v in t.metrics.items() if n[:6] != "trial_"} for t in (one, other)]
        assert numbers[0] == numbers[1]
    timing = json.loads((tmp_path / "status.out").read_text())
    assert {row["name"] for row in timing} >= {
        "imports",
        "data",
        "teachers",
        "trials",
        "confirm",
        "tracking",
        "report",
    }
