"""Early stopping leaves one finished trial of every kind that is to be kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import Engine, Watching
from toy_study import toy_study
from tried import times

from search_spaces.errors import StudyError
from sweeps.common.records import TrialState
from sweeps.search.asha import EarlyStopping
from sweeps.search.session import SearchSession

HARSH = {"kind": "asha", "min_share": 0.125, "eta": 8, "min_trials": 1}
SPACE = {
    "method": {"type": "choice", "values": ["vanilla", "kd"]},
    "width": {"type": "choice", "values": [1, 2, 4, 8]},
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "compression": {"type": "choice", "values": [4, 8], "when": {"method": ["kd"]}},
}


def make(home: Path, keep: list[str], **changes: Any) -> Engine:
    fields: dict[str, Any] = {
        "parameters": {"epochs": 8},
        "space": SPACE,
        "stopping": {**HARSH, "keep": keep},
        "budget": {"trials": 32},
    }
    engine = Engine(toy_study(**{**fields, **changes}), home, Watching())
    engine.teach()
    return engine


def finished(engine: Engine) -> list[Mapping[str, object]]:
    trials = engine.ledger.trials()
    return [trial.config for trial in trials if trial.state is TrialState.COMPLETE]


def in_slots(engine: Engine, slots: int, order: st.DataObject) -> SearchSession:
    """Search with several trials at once, whose reports come in any order."""
    session, running = engine.session(), dict[str, Iterator[Any]]()
    for index in range(1000):
        while len(running) < slots:
            name = f"{index}-{len(running)}"
            if (assignment := session.assign(name)) is None:
                break
            session.started(name)
            running[name] = engine.train(assignment)
        if not running:
            return session
        name = order.draw(st.sampled_from(sorted(running)))
        event = session.received(name, next(running[name]))
        if event.done or session.stops(name, event):
            session.finished(name, event)
            del running[name]
    raise AssertionError("the search does not end")


@settings(max_examples=times(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(slots=st.integers(1, 4), seed=st.integers(0, 50), order=st.data())
def test_one_of_every_kind_finishes(tmp_path_factory, slots, seed, order):
    home = tmp_path_factory.mktemp("kept")
    seeds = {"search": seed, "trial": 0, "confirm": [101]}
    engine = make(home, ["width", "compression"], seeds=seeds)
    session = in_slots(engine, slots, order)
    trials = engine.ledger.trials()
    tried, done = [trial.config for trial in trials], finished(engine)
    assert any(trial.state is TrialState.PRUNED for trial in trials)
    assert {config["width"] for config in done} == {config["width"] for config in tried}
    kinds = [{c["compression"] for c in some if c["method"] == "kd"} for some in (tried, done)]
    assert kinds[0] == kinds[1]
    assert "vanilla" in {config["method"] for config in done}
    session.closed()
    assert engine.display.notes == [] or len({c["width"] for c in tried}) < 4


def test_the_baseline_is_always_kept(tmp_path):
    good = {"method": "kd", "width": 1, "x": 0.3, "compression": 4}
    points = [good, *({"method": "vanilla", "width": 8, "x": x} for x in (0.9, 1.0))]
    search = {"sampler": "random", "points": points}
    engine = make(tmp_path, [], search=search, budget={"trials": 3})
    engine.search()
    states = [trial.state for trial in engine.ledger.trials()]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]


def test_a_resumed_search_knows_what_has_finished(tmp_path):
    engine = make(tmp_path, ["width"])
    session = engine.search()
    again = EarlyStopping(engine.study, engine.task, engine.ledger)
    assert again._kept._finished == session._early._kept._finished
    assert again.missing() == []


def test_an_unknown_kept_parameter_is_reported(tmp_path):
    engine = make(tmp_path, ["width"], constraints=[{"metric": "ue_flops", "max": 3000}])
    engine.search().closed()
    (note,) = engine.display.notes
    assert "stopping.keep" in note
    assert "width=4, width=8" in note


@pytest.mark.parametrize(
    ("keep", "budget", "words"),
    [
        (["methd"], 32, ["methd", "method"]),
        (["x"], 32, ["'x'", "choice"]),
        (["width"], 3, ["width", "4 values", "budget.trials is 3"]),
    ],
)
def test_what_cannot_be_right_is_refused(keep, budget, words):
    with pytest.raises(StudyError) as raised:
        toy_study(space=SPACE, stopping={**HARSH, "keep": keep}, budget={"trials": budget})
    for word in ["stopping.keep", *words]:
        assert word in str(raised.value)


def states(home: Path, points: list[dict[str, Any]], within: list[str]) -> list[TrialState]:
    """Search points with little patience, resume it, and return how trials ended."""
    stopping = {"kind": "asha", "eta": 2, "min_trials": 2, "within": within}
    search = {"sampler": "random", "points": points}
    engine = make(home, [], stopping=stopping, search=search, budget={"trials": len(points)})
    session = engine.search()
    again = EarlyStopping(engine.study, engine.task, engine.ledger)
    groups = [repr((key, one._tables)) for key, one in session._early._groups.items()]
    assert sorted(repr((key, one._tables)) for key, one in again._groups.items()) == sorted(groups)
    return [trial.state for trial in engine.ledger.trials()]


@settings(max_examples=times(4), deadline=None)
@given(seed=st.integers(0, 100))
def test_groups_are_compared_as_if_the_others_did_not_run(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    points = [
        {"method": str(rng.choice(["vanilla", "kd"])), "width": 2, "x": float(rng.random())}
        for _ in range(16)
    ]
    points = [p | ({"compression": 4} if p["method"] == "kd" else {}) for p in points]
    together = states(tmp_path_factory.mktemp("both"), points, ["method"])
    for method in ("vanilla", "kd"):
        some = [point for point in points if point["method"] == method]
        alone = states(tmp_path_factory.mktemp(method), some, [])
        ours = [s for s, p in zip(together, points, strict=True) if p["method"] == method]
        assert ours == alone
        assert TrialState.COMPLETE in alone
    assert TrialState.PRUNED in together


def test_unknown_parameters_to_compare_within_are_refused():
    with pytest.raises(StudyError, match=r"stopping.within.*methd.*method"):
        toy_study(space=SPACE, stopping={**HARSH, "within": ["methd"]})
