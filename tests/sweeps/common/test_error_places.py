"""Where a task raised: in the ledger, MLflow, the report, and on the screen on demand."""

import json
import re
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import toy_study

from analysis.report import build_report
from kdtasks.contract.errors import UserError
from sweeps.cli.main import main
from sweeps.common.records import FailureKind, TrialState
from sweeps.progress.state import Utilisation
from sweeps.tracking.client import sweep_runs
from sweeps.tracking.read import sweep_frames

PLACE = re.compile(r"\((toy_task|test_error_places)\.py, line \d+, in \w+\)$")
GOAL = {
    "metric": "val_error",
    "direction": "minimize",
    "unit": "",
    "reference": 0.0,
    "label": "error",
}
POINTS = [{"method": "kd", "width": 2, "x": 0.5, "flaw": ["raise", "none"]}]


def study(**changes):
    fields = {"search": {"sampler": "points", "points": POINTS}, "seeds": {"confirm": [101, 102]}}
    return toy_study(**{**fields, **changes})


def shown(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    return stop.value.code, capsys.readouterr()


def spoiled(monkeypatch, method, error=None):
    """Let a method of the toy task raise."""

    def raising(self, *args, **kwargs):
        raise error or ValueError("https://me:hunter2@host is \x1b[31mred\x1b[0m\nand more")

    monkeypatch.setattr(f"toy_task.ToyTask.{method}", raising)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_trial_that_raised_is_shown_everywhere(tmp_path, capsys):
    engine = Engine(study(), tmp_path)
    engine.teach()
    engine.search()
    engine.into_mlflow()
    trial = engine.ledger.trials()[0]
    assert trial.state is TrialState.FAIL
    assert PLACE.search(trial.reason)
    assert trial.traceback.startswith("Traceback")
    client, _, children = sweep_runs(engine.folder, None)
    [run] = [one for one in children if one.data.tags["kdsweep.key"] == "trial/0"]
    file = client.download_artifacts(run.info.run_id, "traceback.txt", str(tmp_path))
    assert Path(file).read_text(encoding="utf-8") == trial.traceback
    frames = sweep_frames(engine.folder.path)
    page = build_report(frames, tmp_path / "report").read_text(encoding="utf-8")
    assert "in train_student" in page
    assert "raise RuntimeError(&#34;the loss is not a number" in page
    for words in (["--trial", 0], ["--failed"]):
        code, output = shown(capsys, "status", "sweep", "--home", tmp_path, *words)
        assert code == 0
        assert "RuntimeError: the loss is not a number (toy_task.py, line" in output.out
        assert "raise RuntimeError(" in output.out
    code, output = shown(capsys, "status", "sweep", "--home", tmp_path, "--trial", 0, "--json")
    assert json.loads(output.out)["traceback"] == trial.traceback
    code, output = shown(capsys, "status", "sweep", "--home", tmp_path, "--trial", 1)
    assert "complete" in output.out
    assert "Traceback" not in output.out
    code, output = shown(capsys, "status", "sweep", "--home", tmp_path, "--trial", 2)
    assert code == 2
    assert "--trial 2: sweep sweep has no such trial; it has 0 to 1" in output.err


@pytest.mark.parametrize("method", ["train_student", "cost", "evaluate"])
def test_neither_secrets_nor_control_characters_are_kept(method, tmp_path, monkeypatch):
    engine = Engine(study(), tmp_path)
    engine.teach()
    spoiled(monkeypatch, method)
    engine.search()
    if method == "evaluate":
        assert engine.confirm() == 2
    else:
        assert PLACE.search(engine.ledger.trials()[0].reason)
    journal = engine.folder.journal.read_text(encoding="utf-8")
    assert "ValueError: https://... is red" in journal
    assert "hunter2" not in journal
    assert "\\u001b" not in journal


def test_complete_that_raises_costs_its_trial_alone(tmp_path, monkeypatch):
    engine = Engine(study(), tmp_path)
    engine.teach()
    complete = type(engine.task).complete

    def picky(self, params):
        if params.get("flaw") == "none":
            raise KeyError("flaw")
        return complete(self, params)

    monkeypatch.setattr("toy_task.ToyTask.complete", picky)
    engine.search()
    raised, refused = engine.ledger.trials()
    assert raised.failure is refused.failure is FailureKind.RAISED
    assert re.match(r"complete: KeyError: 'flaw' \(test_error_places.py, line", refused.reason)
    assert "picky" in refused.traceback


def test_a_teacher_that_raises_is_noted_and_a_later_one_takes_its_place(tmp_path, monkeypatch):
    engine = Engine(study(), tmp_path)
    with monkeypatch.context() as patch:
        spoiled(patch, "train_teacher", RuntimeError("out of pictures"))
        with pytest.raises(UserError, match=r"out of pictures \(test_error_places") as failed:
            engine.teach()
    assert any("in raising" in note for note in failed.value.__notes__)
    [job] = engine.ledger.jobs()
    assert "in raising" in job.traceback
    engine.teach()
    engine.search()
    [job] = engine.ledger.jobs()
    assert not job.reason
    assert job.metrics
    engine.recorder.settle(Utilisation(1, engine.clock))
    assert "kdsweep.reason" not in engine.tracker.children[job.key].tags


@pytest.mark.parametrize("method", ["share_out", "edge_params", "evaluate"])
def test_a_deployment_names_the_line_that_raised_on_a_node(method, tmp_path, monkeypatch):
    def raising(self, *args, **kwargs):
        raise RuntimeError("no room")

    network = toy_study(
        task="toy_network:ToyNetworkTask",
        parameters={"topology": "decentralized"},
        space={},
        search={"sampler": "points", "points": [{"method": "kd"}]},
        objectives=[GOAL],
    )
    engine = Engine(network, tmp_path)
    engine.teach()
    monkeypatch.setattr(f"toy_network.ToyNetworkTask.{method}", raising)
    engine.search()
    [trial] = engine.ledger.trials()
    assert trial.reason.startswith("RuntimeError: no room (test_error_places.py, line ")
    assert "in raising" in trial.traceback


@pytest.mark.parametrize("method", ["load_scenario", "complete", "scenario_fingerprint"])
def test_the_command_prints_one_line_and_debug_the_traceback(method, tmp_path, monkeypatch, capsys):
    file = tmp_path / "toy.yaml"
    file.write_text(study().text)
    spoiled(monkeypatch, method)
    code, output = shown(capsys, "run", file, "--home", tmp_path / "home")
    assert code == 2
    assert output.err.count("\n") == 1
    assert re.search(
        r"https://... is red \(test_error_places.py, line \d+, in raising\)", output.err
    )
    with pytest.raises(ValueError, match="red"):
        main(["run", str(file), "--home", str(tmp_path / "home"), "--debug"])


def test_check_shows_where_on_demand(capsys):
    code, output = shown(capsys, "check", "broken_tasks:Crashing", "--set", "method=kd")
    assert code == 1
    assert "KeyError: 'pictures' (broken_tasks.py, line" in output.out
    assert "Traceback" not in output.out
    code, output = shown(capsys, "check", "broken_tasks:Crashing", "--set", "method=kd", "--debug")
    assert "Traceback" in output.out
