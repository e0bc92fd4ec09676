"""Curves of trials: what the ledger keeps of their reports, and what MLflow shows."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import Engine
from toy_study import toy_study

from sweeps.common.curves import MOST_CURVES, MOST_POINTS, Curves, read, thinned
from sweeps.common.events import Event
from sweeps.common.records import RungEntry, TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.tracking.runs import child_of_trial


def kept(reports, config=()):
    """Return the curves of a trial that reports epochs and numbers."""
    curves = Curves(toy_study())
    curves.begin(0, dict(config))
    for epoch, metrics in reports:
        curves.add(0, Event(epoch=epoch, epochs=max(epoch, 1), metrics=metrics))
    return read(curves.end(0))


reports = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.dictionaries(st.sampled_from("abc"), st.floats(allow_subnormal=False), max_size=3),
    ),
    max_size=300,
)


@given(reports)
def test_curves_are_short_and_run_forward_whatever_is_reported(history):
    for curve in kept(history).values():
        epochs = [epoch for epoch, _ in curve]
        assert 1 <= len(epochs) <= MOST_POINTS
        assert epochs == sorted(set(epochs))
        assert epochs[0] >= 1
        assert all(math.isfinite(value) for _, value in curve)


@given(st.integers(1, 2000), st.integers(1, 7))
def test_a_curve_keeps_its_ends_and_true_points(epochs, every):
    history = [
        (e, {"loss": e / 7, **({"val": -e} if e % every == 0 else {})})
        for e in range(1, epochs + 1)
    ]
    found = kept(history)
    for name, curve in found.items():
        own = [(epoch, metrics[name]) for epoch, metrics in history if name in metrics]
        assert (curve[0][0], curve[-1][0]) == (own[0][0], own[-1][0])
        true = dict(own)
        assert all(value == pytest.approx(true[epoch], rel=1e-5) for epoch, value in curve)
        assert len(curve) == len(own) or len(curve) > MOST_POINTS // 2


def test_a_trial_that_begins_anew_begins_its_curve_anew():
    history = [(e, {"loss": 1.0}) for e in range(1, 6)] + [(e, {"loss": 2.0}) for e in range(1, 4)]
    assert kept(history) == {"loss": [(1, 2.0), (2, 2.0), (3, 2.0)]}


def test_what_trials_are_compared_by_comes_before_the_rest():
    metrics = {f"extra_{i}": 1.0 for i in range(20)} | {"val_nmse_db": -3.0}
    found = kept([(1, metrics)])
    assert len(found) == MOST_CURVES
    assert set(found) == {"val_nmse_db", *(f"extra_{i}" for i in range(MOST_CURVES - 1))}


@pytest.mark.parametrize(("topology", "has"), [("none", True), ("centralized", False)])
def test_nodes_that_train_in_turn_make_no_curve(topology, has):
    assert bool(kept([(1, {"loss": 1.0})], {"topology": topology})) is has


def test_thinning_leaves_short_curves_alone():
    curve = [(epoch, 0.0) for epoch in range(1, MOST_POINTS + 1)]
    assert thinned(curve) == curve


def trial(**changes):
    curves = Curves(toy_study())
    curves.begin(0, {})
    for epoch in (1, 2, 3):
        curves.add(
            0, Event(epoch=epoch, epochs=3, metrics={"val_nmse_db": -epoch, "loss": 1 / epoch})
        )
    facts = {"number": 0, "state": TrialState.COMPLETE, "params": {}, "curves": curves.end(0)}
    return TrialRecord(**{**facts, "metrics": {"val_nmse_db": -9.0, "flops": 5.0}, **changes})


def test_a_curve_ends_with_what_the_trial_came_to():
    child = child_of_trial(trial())
    assert child.status == "FINISHED"
    assert child.curves["val_nmse_db"] == [(1, -1.0), (2, -2.0), (3, -9.0)]
    assert [epoch for epoch, _ in child.curves["loss"]] == [1, 2, 3]
    # A number that only training reports is one of the run's, with its last value.
    assert child.metrics == {"val_nmse_db": -9.0, "flops": 5.0, "loss": child.curves["loss"][-1][1]}
    assert all(child.metrics[name] == curve[-1][1] for name, curve in child.curves.items())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"state": TrialState.PRUNED, "trained": (2, 3), "reason": "not among the best"}, "KILLED"),
        ({"state": TrialState.FAIL, "interrupted": True, "metrics": {}}, "KILLED"),
        ({"state": TrialState.FAIL, "metrics": {}, "reason": "it raised"}, "FAILED"),
    ],
)
def test_incomplete_trainings_are_not_shown_as_finished(changes, status):
    child = child_of_trial(trial(**changes))
    assert child.status == status
    last = changes.get("trained", (3, 3))[0]
    assert max(epoch for curve in child.curves.values() for epoch, _ in curve) == last


def test_rungs_replace_missing_curves():
    rungs = (RungEntry(rung=0.5, epoch=4, epochs=8, metrics={"val_nmse_db": -2.0, "flops": 5.0}),)
    child = child_of_trial(trial(curves="", rungs=rungs))
    assert child.curves == {"val_nmse_db": [(4, -2.0), (8, -9.0)]}


def test_the_ledger_keeps_curves_for_a_database_that_is_made_anew(tmp_path: Path):
    points = [{"method": "kd", "width": 2, "x": [0.2, 0.5, 0.8]}]
    study = toy_study(search={"sampler": "points", "points": points}, budget={"trials": 3})
    engine = Engine(study, tmp_path)
    engine.teach()
    engine.search()
    before = engine.ledger.trials()
    for record in before:
        curve = read(record.curves)["val_nmse_db"]
        assert len(curve) >= 1
        shown = engine.tracker.children[f"trial/{record.number}"].curves["val_nmse_db"]
        assert shown[:-1] == curve[:-1]
        assert shown[-1] == (curve[-1][0], record.metrics["val_nmse_db"])
    again = Ledger.open(engine.folder.journal)
    assert [record.curves for record in again.trials()] == [record.curves for record in before]


def test_a_trial_that_is_stopped_from_outside_keeps_what_it_had(tmp_path: Path):
    engine = Engine(toy_study(), tmp_path)
    engine.teach()
    session = engine.session()
    assert session.assign("a") is not None
    session.started("a")
    session.reported("a", Event(epoch=1, epochs=4, metrics={"val_nmse_db": -1.0}))
    session.abandon("interrupted by the user")
    [child] = [c for key, c in engine.tracker.children.items() if key.startswith("trial/")]
    assert child.curves == {"val_nmse_db": [(1, -1.0)]}
    assert child.metrics["val_nmse_db"] == -1.0
