"""Trials that are stopped early: what the ledger, MLflow, the front and the budget say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from in_process import Engine, Watching
from toy_study import toy_study
from toy_task import ToyTask

from analysis import layout
from kdtasks.contract.reports import forwarded
from sweeps.common.records import TrialState
from sweeps.ledger.front import pareto_state
from sweeps.ledger.ledger import Ledger
from sweeps.progress.state import Utilisation
from sweeps.run import site
from sweeps.search.asha import EarlyStopping
from sweeps.search.session import SearchSession


def make(home: Path, **changes: Any) -> Engine:
    fields: dict[str, Any] = {
        "parameters": {"epochs": 8},
        "stopping": {"kind": "asha", "min_share": 0.125, "eta": 2, "min_trials": 2},
        "budget": {"trials": 24},
    }
    engine = Engine(toy_study(**{**fields, **changes}), home, Watching())
    engine.teach()
    return engine


@pytest.fixture
def searched(tmp_path: Path) -> tuple[Engine, SearchSession]:
    engine = make(tmp_path)
    session = engine.search()
    engine.recorder.settle(Utilisation(1, engine.clock))
    return engine, session


@pytest.fixture
def engine(searched: tuple[Engine, SearchSession]) -> Engine:
    return searched[0]


def test_stopped_trials_are_pruned_with_what_they_had_come_to(engine: Engine) -> None:
    trials = engine.ledger.trials()
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert {trial.state for trial in trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    assert 4 < len(pruned) < len(trials) - 4
    for trial in pruned:
        epoch, epochs = trial.trained
        last = trial.rungs[-1]
        assert (last.epoch, last.epochs, epochs) == (epoch, 8, 8)
        assert last.rung * epochs == epoch in (1, 2, 4)
        assert trial.metrics["val_nmse_db"] == last.metrics["val_nmse_db"]
        assert trial.metrics["ue_flops"] == 1000.0 * trial.config["width"]
        assert f"{100 * last.rung:g} %" in trial.reason
        assert not (engine.folder.weights / f"trial-{trial.number}.safetensors").exists()
    for trial in trials:
        shares = [entry.rung for entry in trial.rungs]
        assert shares == [0.125, 0.25, 0.5][: len(shares)]
        assert (len(shares) == 3) or trial.state is TrialState.PRUNED


def test_the_optuna_study_has_no_values_of_stopped_trials(engine: Engine) -> None:
    study = engine.ledger._study
    states = {"COMPLETE": 0, "PRUNED": 0}
    for trial in study.get_trials():
        states[trial.state.name] += 1
        assert (trial.values is None) == (trial.state.name == "PRUNED")
    assert min(states.values()) > 0


def test_the_budget_counts_trials_that_were_started_and_brought_to_an_end(engine: Engine) -> None:
    assert len(engine.ledger.trials()) == 24
    assert engine.ledger.running == ()


def test_the_front_and_its_hypervolume_know_finished_trials_only(
    searched: tuple[Engine, SearchSession],
) -> None:
    engine, session = searched
    finished = [t for t in engine.ledger.trials() if t.state is TrialState.COMPLETE]
    complete = {trial.number for trial in finished}
    found, whole = session.pareto_state, pareto_state(finished, engine.study)
    assert found.rows == whole.rows
    assert {row.number for row in found.rows} <= found.ranks.keys() <= complete
    assert found.hypervolume == pytest.approx(whole.hypervolume, rel=1e-12)
    assert len(engine.tracker.series) == len(complete)
    children = engine.tracker.children.items()
    ranked = {key for key, child in children if layout.ON_FRONT in child.tags}
    assert ranked == {f"trial/{number}" for number in complete}


def test_mlflow_has_state_fidelity_rung_and_a_curve_by_epoch(engine: Engine) -> None:
    for trial in engine.ledger.trials():
        child = engine.tracker.children[f"trial/{trial.number}"]
        assert child.tags[layout.STATE] == trial.state.value
        curve = child.curves["val_nmse_db"]
        by_epoch = dict(curve)
        for entry in trial.rungs:
            wanted = pytest.approx(entry.metrics["val_nmse_db"], rel=1e-5)
            assert by_epoch[entry.epoch] == wanted
        last = (trial.trained or (8, 8))[0]
        assert [epoch for epoch, _ in curve] == [*range(1, last + 1)]
        assert curve[-1][1] == trial.metrics["val_nmse_db"]
        if trial.state is TrialState.PRUNED:
            assert float(child.tags[layout.FIDELITY]) == trial.trained[0] / 8
            assert float(child.tags[layout.RUNG]) == trial.rungs[-1].rung
            assert child.status == "KILLED"
        else:
            assert child.tags[layout.FIDELITY] == "full"
            assert layout.RUNG not in child.tags
            assert child.status == "FINISHED"


def test_what_was_saved_is_counted_and_shown(engine: Engine) -> None:
    pruned = [trial for trial in engine.ledger.trials() if trial.state is TrialState.PRUNED]
    saved = sum(8 - trial.trained[0] for trial in pruned)
    assert engine.tracker.metrics["trials_pruned"] == len(pruned)
    assert engine.tracker.metrics["epochs_saved"] == saved > 0
    assert engine.display.stopped == {trial.number: trial.trained for trial in pruned}
    assert engine.display.notes == []


def at_rungs(early: EarlyStopping) -> dict[float, dict[int, tuple[float, ...]]]:
    """Return the entries of every trial, by rung."""
    tables = early._groups[()]._tables
    return {
        rung: dict(zip(trials.tolist(), map(tuple, rows), strict=True))
        for rung, (trials, rows) in tables.items()
    }


def test_the_ledger_restores_the_rungs(
    searched: tuple[Engine, SearchSession],
) -> None:
    engine, session = searched
    again = Ledger.open(engine.folder.journal)
    assert again.trials() == engine.ledger.trials()
    live = at_rungs(session._early)
    assert len(live[0.125]) == 24 > len(live[0.25]) > len(live[0.5]) > 0
    assert at_rungs(EarlyStopping(again.study, engine.task, again)) == live


def test_a_study_without_stopping_trains_everything_and_notes_no_rungs(tmp_path: Path) -> None:
    engine = make(tmp_path, stopping=None)
    engine.search()
    assert {trial.state for trial in engine.ledger.trials()} == {TrialState.COMPLETE}
    assert all(trial.rungs == () for trial in engine.ledger.trials())


def test_what_complexity_alone_makes_infeasible_never_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make(tmp_path, constraints=[{"metric": "ue_flops", "max": 3000}])
    begun: list[Mapping[str, object]] = []

    train = site.train
    monkeypatch.setattr(
        site, "train", lambda *given: begun.append(given[2].config) or train(*given)
    )
    engine.search()
    assert begun
    assert all(config["width"] <= 3 for config in begun)
    others = [t for t in engine.ledger.trials() if t.config["width"] > 3]
    assert len(begun) + len(others) == 24
    for trial in others:
        assert (trial.state, trial.trained, trial.rungs) == (TrialState.PRUNED, (0, 0), ())
        assert trial.reason.startswith("infeasible")
        assert ": ue_flops is " in trial.reason
        assert trial.violations == {"ue_flops": trial.config["width"] * 1000.0 - 3000.0}
        child = engine.tracker.children[f"trial/{trial.number}"]
        assert child.tags[layout.FIDELITY] == "0"


def test_a_trial_that_fails_later_leaves_its_rungs(tmp_path: Path) -> None:
    points = [{"method": "vanilla", "width": 8, "x": 0.3, "flaw": "raise"}]
    search = {"sampler": "random", "points": points}
    engine = make(tmp_path, search=search, budget={"trials": 6})
    session = engine.search()
    assert engine.ledger.trial(0).state is TrialState.FAIL
    assert all(0 not in entries for entries in at_rungs(session._early).values())


def test_a_trial_that_began_anew_has_each_rung_once(tmp_path: Path) -> None:
    engine = make(tmp_path, stopping={"kind": "asha", "eta": 2, "min_trials": 9})
    session = engine.session()
    assignment = session.assign("a")
    session.started("a")
    events = list(engine.train(assignment))
    for event in [*events[:5], *events]:  # it died after five epochs
        assert event.done or not session.stops("a", event)
    session.finished("a", session.received("a", events[-1]))
    assert [entry.rung for entry in engine.ledger.trial(0).rungs] == [0.125, 0.25, 0.5]


def test_reports_without_an_objective_stop_nothing_and_warn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ToyTask.train_student

    def train_student(self, params, train, val, teacher):  # type: ignore[no-untyped-def]
        work = honest(self, params, train, val, teacher)
        return forwarded(work, lambda report: replace(report, metrics={"loss": 1.0}))

    monkeypatch.setattr(ToyTask, "train_student", train_student)
    engine = make(tmp_path, budget={"trials": 8})
    engine.search()
    assert {trial.state for trial in engine.ledger.trials()} == {TrialState.COMPLETE}
    [note] = engine.display.notes
    assert "trial 0 reports no val_nmse_db at 1 of 8 epochs" in note


def test_a_cost_that_cannot_be_computed_fails_its_trial_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ToyTask.cost

    def cost(self, params):  # type: ignore[no-untyped-def]
        if params["width"] == 8:
            raise ZeroDivisionError("no such width")
        return honest(self, params)

    points = [{"method": "vanilla", "width": [8, 2], "x": 0.3}]
    engine = make(tmp_path, search={"sampler": "random", "points": points}, budget={"trials": 2})
    monkeypatch.setattr(ToyTask, "cost", cost)
    engine.search()
    states = [trial.state for trial in engine.ledger.trials()]
    assert states == [TrialState.FAIL, TrialState.COMPLETE]
    assert "no such width" in engine.ledger.trial(0).reason


@pytest.mark.parametrize("sampler", ["tpe", "known-cost", "nsga2", "nsga3", "random", "qmc"])
def test_every_sampler_goes_on_after_stopped_trials(tmp_path: Path, sampler: str) -> None:
    engine = make(
        tmp_path,
        search={"sampler": sampler},
        constraints=[{"metric": "ue_flops", "max": 6000}],
        budget={"trials": 30},
    )
    engine.search()
    states = [trial.state for trial in engine.ledger.trials() if not trial.duplicate]
    assert len(states) == 30
    assert {TrialState.PRUNED, TrialState.COMPLETE} == set(states)


def network_engine(home: Path, lines: Sequence[bytes] = ()) -> Engine:
    """Return a search over deployments; with lines of a journal one that goes on after them."""
    units = {"val_error": "", "edge_bytes": "B", "edge_train_gflop": "GFLOP"}
    goals = {"direction": "minimize", "reference": 1e9, "label": "of a network"}

    class Resumed(Engine):
        def start_ledger(self) -> Ledger:
            if not lines:
                return super().start_ledger()
            self.folder.journal.write_bytes(b"".join(lines))
            ledger = Ledger.open(self.folder.journal)
            ledger.recover()
            return ledger

    study = toy_study(
        task="toy_network:DrawingNetworkTask",
        parameters={"method": "vanilla", "link_loss": 0.2},
        space={
            "topology": {
                "type": "choice",
                "values": ["centralized", "decentralized", "semi-centralized", "mutual", "self"],
            },
            "epochs": {"type": "int", "low": 4, "high": 40},
        },
        objectives=[{"metric": name, "unit": unit, **goals} for name, unit in units.items()],
        stopping={"kind": "asha", "eta": 2, "min_trials": 2, "keep": ["topology"]},
        budget={"trials": 16},
    )
    engine = Resumed(study, home, Watching())
    engine.teach()
    return engine


def test_trials_of_a_network_are_stopped_also_after_a_driver_died(tmp_path: Path) -> None:
    engine = network_engine(tmp_path / "whole")
    engine.search()
    trials = engine.ledger.trials()
    assert engine.display.notes == []
    stopped = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert stopped
    for trial in stopped:
        entry = trial.rungs[-1]
        assert trial.trained == (entry.epoch, entry.epochs)
        assert {"val_error", "edge_bytes", "edge_train_gflop"} == entry.metrics.keys()
        assert f"{100 * entry.rung:g} % of its training" in trial.reason
    finished = {t.config["topology"] for t in trials if t.state is TrialState.COMPLETE}
    assert len(finished) == 5
    lines = engine.folder.journal.read_bytes().splitlines(keepends=True)
    begun = [number for number, line in enumerate(lines) if b'"op_code":4' in line]
    resumed = network_engine(tmp_path / "resumed", lines[: begun[9] + 2])
    resumed.search()
    again = [trial for trial in resumed.ledger.trials() if not trial.interrupted]
    assert [(t.config, t.state, t.rungs) for t in again] == [
        (t.config, t.state, t.rungs) for t in trials
    ]
