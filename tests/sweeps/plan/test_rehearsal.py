"""Trials of every kind are tried on the sweep's data before anything is trained."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_study import toy_study
from two_networks import Clusters

from kdtasks.contract.task import ScenarioData
from search_spaces.errors import StudyError
from search_spaces.study import Study
from sweeps.common.capacity import ResourceRequest
from sweeps.plan.preflight import check_study
from sweeps.plan.rehearsal import rehearse
from sweeps.progress.events import Display
from sweeps.run.runner import run_study

OBJECTIVES = [
    {"metric": "val_accuracy", "direction": "maximize", "unit": "%", "reference": 0.0, "label": "A"}
]
METHODS = ["vanilla", "response", "two_networks:halved"]
WIDTH = {"type": "int", "low": 3, "high": 30}


def study_of(**changes) -> Study:
    space = {
        "method": {"type": "choice", "values": METHODS},
        "width": WIDTH,
        "points": {"type": "choice", "values": [60, 80]},
        "teacher_width": {"type": "choice", "values": [8, 9], "when": {"method": METHODS[1:]}},
    }
    fields = {"task": "two_networks:Clusters", "parameters": {}, "space": space}
    return toy_study(**{**fields, "objectives": OBJECTIVES, **changes})


def tried(study: Study, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Return the trials that the task is given, after checking that these are of their data."""
    found: list[dict[str, object]] = []

    def note(self, trials, data):
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002, S311 - as users may
        assert {self.scenario_fingerprint(one) for one in trials} == {data.provenance["key"]}
        found.extend(trials)

    monkeypatch.setattr(Clusters, "rehearse", note)
    plan = check_study(study)
    keys = {need.scenario for need in plan.needs}
    data = {k: ScenarioData(train={}, val={}, test={}, provenance={"key": k}) for k in keys}
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    rehearse(study, plan, data)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert after == before
    return found


def test_every_word_teacher_and_data_set_and_both_ends_are_tried(monkeypatch):
    found = tried(study_of(), monkeypatch)
    assert {one["method"] for one in found} == {*METHODS}
    assert {(one["method"], one["width"]) for one in found} == {
        (method, width) for method in METHODS for width in (3, 30)
    }
    assert {one["points"] for one in found} == {60, 80}
    assert {one["teacher_width"] for one in found if one["method"] != "vanilla"} == {8, 9}


@given(widths=st.lists(st.integers(1, 64), min_size=1, max_size=8, unique=True))
def test_of_points_every_word_and_both_ends_are_tried(widths):
    points = [{"method": METHODS[n % 3], "width": width} for n, width in enumerate(widths)]
    study = study_of(
        space={"width": {"type": "int", "low": 1, "high": 64}},
        search={"sampler": "points", "points": points},
        budget={"trials": len(points)},
    )
    with pytest.MonkeyPatch.context() as patch:
        found = tried(study, patch)
    assert {one["method"] for one in found} == {one["method"] for one in points}
    assert {min(widths), max(widths)} <= {one["width"] for one in found} <= {*widths}


def test_points_of_a_searched_study_are_tried_with_what_they_alone_set(monkeypatch):
    found = tried(
        study_of(
            space={"width": WIDTH},
            parameters={"method": "vanilla"},
            search={"points": [{"method": "relation"}]},
        ),
        monkeypatch,
    )
    assert {one["method"] for one in found} == {"vanilla", "relation"}


def test_a_sweep_that_cannot_train_is_refused_before_it_begins(tmp_path: Path) -> None:
    study = study_of(task="two_networks:Narrow", space={"width": WIDTH}, parameters={})
    with pytest.raises(StudyError, match=r"toy.yaml:\d+: task: .*give it 5 outputs.*width=30"):
        run_study(
            study,
            name="narrow",
            home=tmp_path,
            tracking_uri=None,
            request=ResourceRequest(backend="inline"),
            display=Display(),
        )
    assert not (tmp_path / "narrow").exists()
