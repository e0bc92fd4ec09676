"""Optuna Dashboard shows what the ledger has, and changes nothing."""

import asyncio
import json
import sys
from collections import Counter

import pytest
from command_line import kdsweep, make_sweep
from in_process import Engine
from toy_study import toy_study

from kdtasks.contract.errors import DataError
from sweeps.common.records import TrialState
from sweeps.ledger.front import pareto_state
from sweeps.tracking.optuna_ui import copied, dashboard


@pytest.fixture
def engine(tmp_path):
    """A sweep some of whose trials were stopped early and one of which failed."""
    points = [{"flaw": "raise", "method": "kd", "width": 2, "x": 0.5}]
    asha = {"kind": "asha", "eta": 2}
    study = toy_study(
        parameters={"epochs": 8}, budget={"trials": 24}, stopping=asha,
        search={"sampler": "random", "points": points},
    )  # fmt: skip
    engine = Engine(study, tmp_path)
    engine.teach()
    engine.search()
    return engine


def ask(app, path, method="GET"):
    """Return status and body of an ASGI app's answer."""
    scope = {
        "type": "http", "method": method, "path": path, "root_path": "", "query_string": b"",
        "headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80),
    }  # fmt: skip
    found = {"status": 0, "body": b""}

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        found["status"] = message.get("status", found["status"])
        found["body"] += message.get("body", b"")

    asyncio.run(app(scope, receive, send))
    return found["status"], found["body"]


def test_optuna_dashboard_shows_objectives_states_front_history_and_importances(engine):
    pytest.importorskip("optuna_dashboard")
    trials = engine.ledger.trials()
    journal = engine.folder.journal
    before = journal.read_bytes()
    with copied(journal) as copy:
        app = dashboard(copy)
        status, body = ask(app, "/api/studies/0")
        shown = json.loads(body)
        importances = json.loads(ask(app, "/api/studies/0/param_importances")[1])
        assert ask(app, "/")[0] == 302
        for method in ("DELETE", "POST", "PUT"):
            assert ask(app, "/api/studies/0", method)[0] == 405
    assert not copy.exists()
    assert journal.read_bytes() == before
    assert (status, shown["objective_names"]) == (200, ["val_nmse_db", "ue_flops"])
    assert shown["directions"] == ["minimize", "minimize"]
    states = Counter(one["state"] for one in shown["trials"])
    wanted = Counter(one.state for one in trials)
    assert states == {"Complete": wanted[TrialState.COMPLETE], "Pruned": wanted[TrialState.PRUNED],
                      "Fail": wanted[TrialState.FAIL]}  # fmt: skip
    assert min(states.values()) > 0
    front = {row.number for row in pareto_state(trials, engine.study).rows}
    assert front <= {one["number"] for one in shown["best_trials"]}
    history = {
        one["number"]: one["values"] for one in shown["trials"] if one["state"] == "Complete"
    }
    goals = [goal.metric for goal in engine.study.objectives]
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            assert history[trial.number] == [trial.metrics[metric] for metric in goals]
    for of_objective in importances["param_importances"]:
        assert {one["name"] for one in of_objective} <= set(engine.study.space.parameters)
        assert of_objective


def test_a_half_written_line_is_not_copied_and_a_damaged_ledger_is_refused(engine):
    journal = engine.folder.journal
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "tri')
    with copied(journal) as copy:
        assert copy.read_bytes() == whole
    journal.write_bytes(b"[]\n" + whole)
    with pytest.raises(DataError, match=r"journal\.log"), copied(journal):
        pass


def test_without_the_package_the_command_that_installs_it_is_named(tmp_path, capsys, monkeypatch):
    make_sweep(tmp_path, "mine")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    code, _, err = kdsweep(capsys, "ui", "mine", "--optuna", "--home", str(tmp_path))
    assert code == 2
    assert "--optuna" in err
    assert "pip install optuna-dashboard" in err
