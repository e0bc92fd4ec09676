"""What breaks a bound steers the search and never comes on the front."""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from in_process import Engine
from toy_study import ManualClock, toy_study
from toy_task import ToyTask

from analysis import layout
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.progress.state import Utilisation
from sweeps.run.confirmation import candidates
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler
from sweeps.search.verdict import judge

SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "epoch_s": {"type": "float", "low": 0.0, "high": 1.0},
}
BITS = [{"metric": "payload_bits", "max": 0.25}]


TRIALS = {"tpe": 75, "nsga2": 200}
"""Genetic samplers learn from one generation of 50 to the next."""


def feasible_share(sampler: str, bounds: list[dict[str, Any]], path: Path, seed: int) -> float:
    """Return how many of a search's last 50 trials have x <= 1/4, though errors fall with x."""
    study = toy_study(
        space=SPACE,
        search={"sampler": sampler},
        constraints=bounds,
        budget={"trials": TRIALS[sampler]},
        seeds={"search": seed, "confirm": [1]},
    )
    ledger = Ledger.create(path, study)
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    proposals = Proposals(study, ToyTask(), ledger, ManualClock())
    while (proposal := proposals.next()) is not None:
        x, y = float(proposal.config["x"]), float(proposal.config["epoch_s"])
        metrics = {"val_nmse_db": -x - y, "ue_flops": 3.0 - x + y, "payload_bits": x}
        verdict = judge(study, metrics)
        ledger.complete(proposal.number, verdict.values, metrics, verdict.violations)
    later = [trial for trial in ledger.trials() if not trial.duplicate][-50:]
    inside = [trial for trial in ledger._study.get_trials(deepcopy=False) if trial.values]
    assert {bool(trial.constraints) for trial in inside} == {bool(bounds)}
    return sum(trial.metrics["payload_bits"] <= 0.25 for trial in later) / len(later)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_what_is_infeasible_steers_the_search(sampler: str, tmp_path: Path) -> None:
    shares: dict[bool, list[float]] = {True: [], False: []}
    for bounded in shares:
        for seed in range(3):
            path = tmp_path / f"{bounded}-{seed}.log"
            bounds = BITS if bounded else []
            shares[bounded].append(feasible_share(sampler, bounds, path, seed))
    # a quarter of the space is feasible, and what is best without the bound is not
    assert statistics.median(shares[False]) < 0.25
    assert statistics.median(shares[True]) > 0.4
    assert min(shares[True]) > max(shares[False])


def searched(home: Path, **changes: Any) -> Engine:
    engine = Engine(toy_study(**changes), home)
    engine.teach()
    engine.search()
    return engine


def test_where_all_trials_are_infeasible_there_is_no_front_and_no_volume(tmp_path: Path) -> None:
    engine = Engine(toy_study(constraints=[{"metric": "payload_bits", "max": 1}]), tmp_path)
    engine.teach()
    session = engine.search()
    engine.recorder.settle(Utilisation(1, engine.clock))
    trials = engine.ledger.trials()
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len(trials) == engine.study.budget.trials
    assert not any(trial.feasible for trial in trials)
    assert session.pareto_state.rows == []
    assert session.pareto_state.ranks == {}
    assert {volume for _, volume in engine.tracker.series} == {0.0}
    assert candidates(engine.study, trials) == []
    found = [engine.tracker.children[f"trial/{trial.number}"] for trial in trials]
    assert {child.tags[layout.ON_FRONT] for child in found} == {"false"}
    assert engine.ledger._study.best_trials == []  # as Optuna has been told


@pytest.mark.parametrize("stopping", [None, {"kind": "asha", "eta": 2, "min_trials": 2}])
def test_a_bound_on_what_is_known_at_the_end_is_judged_there(
    stopping: dict[str, Any] | None, tmp_path: Path
) -> None:
    engine = searched(
        tmp_path,
        parameters={"epochs": 8},
        constraints=[{"metric": "val_nmse_db", "max": -14.0}],
        budget={"trials": 20},
        stopping=stopping,
    )
    trials = engine.ledger.trials()
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    # training may still bring them below the bound, so none ends before it began
    assert not any(trial.trained == (0, 0) for trial in trials)
    for trial in complete:
        assert trial.violations == {"val_nmse_db": trial.metrics["val_nmse_db"] + 14.0}
    assert {trial.feasible for trial in complete} == {True, False}
    front = candidates(engine.study, trials)
    assert front
    assert all(trial.metrics["val_nmse_db"] <= -14.0 for trial in front)


def test_a_bound_on_what_complexity_decides_costs_no_training(tmp_path: Path) -> None:
    engine = searched(
        tmp_path,
        parameters={"epochs": 8},
        constraints=[{"metric": "ue_flops", "max": 4000.0}],
        budget={"trials": 20},
        stopping={"kind": "asha", "eta": 2, "min_trials": 2},
    )
    large = [trial for trial in engine.ledger.trials() if trial.config["width"] > 4]
    assert large
    for trial in large:
        assert (trial.state, trial.trained) == (TrialState.PRUNED, (0, 0))
        # the sampler is told of it all the same
        assert trial.violations == {"ue_flops": 1000.0 * trial.config["width"] - 4000.0}
    front = candidates(engine.study, engine.ledger.trials())
    assert all(trial.config["width"] <= 4 for trial in front)


def test_points_come_first_also_where_they_are_infeasible(tmp_path: Path) -> None:
    points = [{"width": 8, "x": 0.3, "method": "kd"}, {"width": [7, 1], "x": 0.3}]
    engine = searched(
        tmp_path,
        constraints=[{"metric": "ue_flops", "max": 4000.0}],
        search={"sampler": "tpe", "points": points},
    )
    trials = engine.ledger.trials()
    assert [trial.params["width"] for trial in trials[:3]] == [8, 7, 1]
    assert [trial.feasible for trial in trials[:3]] == [False, False, True]
