"""A sweep of beam tracking from the study's text to the test split, in one process."""

import json

import pytest
from beam_trials import TINY
from in_process import Engine

from search_spaces.study import parse_study

STUDY = {
    "name": "beams",
    "title": "beams",
    "task": "beam-tracking",
    "parameters": {**TINY, "teacher": "image-teacher-gru1"},
    "space": {
        "method": {"type": "choice", "values": ["vanilla", "response", "relation"]},
        "alpha": {
            "type": "float",
            "low": 0.1,
            "high": 0.9,
            "when": {"method": ["response", "relation"]},
        },
    },
    "objectives": [
        {"metric": "val_top2", "direction": "maximize", "unit": "%", "reference": 0},
        {"metric": "macs", "direction": "minimize", "unit": "MACs", "reference": 1e9},
    ],
    "search": {
        "sampler": "random",
        "points": [{"method": "vanilla"}, {"method": ["response", "relation"], "alpha": 0.5}],
    },
    "budget": {"trials": 3},
    "seeds": {"search": 0, "trial": 0, "confirm": [1]},
    "confirm": {"select": "all", "retrain": False},
}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_methods_share_a_teacher_and_are_judged_on_the_test_split(tmp_path):
    engine = Engine(parse_study(json.dumps(STUDY), "beams.yaml"), tmp_path)
    engine.teach()
    assert len(engine.resources.teachers) == 1
    engine.search()
    assert engine.confirm() == 0
    trials = engine.ledger.trials()
    assert {trial.config["method"] for trial in trials} == {"vanilla", "response", "relation"}
    kinds = [job.kind for job in engine.ledger.jobs()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "teacher": 1,
        "baseline": 4,
        "confirmation": 3,
    }
    for job in engine.ledger.jobs():
        assert not job.reason
        assert 0.0 <= job.metrics["test_top2"] <= job.metrics["test_top5"] <= 100.0
