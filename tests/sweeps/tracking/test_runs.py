"""What a run is tagged with in MLflow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_study import toy_study

from analysis import layout
from analysis.colours import PALETTE, UNTAUGHT
from sweeps.common.records import ExportRecord, JobRecord, TrialRecord, TrialState
from sweeps.tracking.runs import child_of_job, child_of_trial, standing_tags, trial_key
from sweeps.tracking.views import SHOWN

PARAMS = {"topology": "mutual", "method": "vanilla", "rounds": 4}


@pytest.mark.parametrize("kind", ["teacher", "baseline", "confirmation"])
def test_every_job_with_a_topology_is_tagged_with_it(kind: str) -> None:
    job = JobRecord(kind=kind, key=f"{kind}/x/1", params=PARAMS, started_ms=0, ended_ms=1)
    tags = child_of_job(job).tags
    assert tags[layout.TOPOLOGY] == "mutual"
    # the method of a teacher or baseline is that of the first student that needed it
    assert (tags.get(layout.METHOD) == "vanilla") is (kind == "confirmation")


@pytest.mark.parametrize("config", [{}, {**PARAMS, "topology": "self"}])
def test_trials_are_tagged_by_what_the_task_was_given(config: dict[str, str]) -> None:
    trial = TrialRecord(number=3, state=TrialState.COMPLETE, params=PARAMS, config=config)
    tags = child_of_trial(trial).tags
    assert tags[layout.TOPOLOGY] == ("self" if config else "mutual")
    assert tags[layout.METHOD] == "vanilla"


@pytest.mark.parametrize(("taught", "tag"), [(True, "true"), (False, "false"), (None, None)])
def test_trials_are_tagged_by_whether_they_had_a_teacher(taught: bool, tag: str) -> None:
    trial = TrialRecord(number=3, state=TrialState.COMPLETE, params=PARAMS, taught=taught)
    assert child_of_trial(trial).tags.get(layout.TEACHER) == tag


def test_tasks_without_topologies_have_no_such_tag() -> None:
    trial = TrialRecord(number=0, state=TrialState.FAIL, params={"x": 1}, reason="no")
    assert not {layout.TOPOLOGY, layout.METHOD} & child_of_trial(trial).tags.keys()


def layers(sizes: list[int]) -> dict[int, list[TrialRecord]]:
    """Return trials of every rank: staircases, each dominated by all of the one before."""
    step, number, found = max(sizes), 0, {}
    for rank, size in enumerate(sizes):
        found[rank] = []
        for place in range(size):
            values = (step * rank + place, step * (rank + 1) - place + 1.0)
            metrics = dict(zip(("val_nmse_db", "ue_flops"), values, strict=True))
            trial = TrialRecord(
                number=number, state=TrialState.COMPLETE, params={}, metrics=metrics
            )
            found[rank].append(trial)
            number += 1
    return found


@given(sizes=st.lists(st.integers(1, 70), min_size=1, max_size=6))
def test_whole_ranks_are_near_as_many_as_charts_load(sizes: list[int]) -> None:
    ranks = layers(sizes)
    tags = standing_tags([trial for rank in ranks.values() for trial in rank], toy_study())
    near = [
        {tags[trial_key(trial.number)][layout.NEAR] for trial in trials}
        for trials in ranks.values()
    ]
    last = near.index({"false"}) if {"false"} in near else len(sizes)
    assert near == [{"true"}] * last + [{"false"}] * (len(sizes) - last)
    assert sum(sizes[:last]) <= SHOWN or last == 1
    assert last == len(sizes) or sum(sizes[: last + 1]) > SHOWN


def test_what_an_export_measured_is_on_the_run_of_its_trial() -> None:
    trial = TrialRecord(
        number=0, state=TrialState.COMPLETE, params={"x": 1}, metrics={"val_nmse_db": -5.0}
    )
    export = ExportRecord(
        trial=0, metrics={layout.ONNX_LATENCY: 0.25}, measured_on="a node", exported_ms=7
    )
    child = child_of_trial(trial, export)
    assert child.metrics == {"val_nmse_db": -5.0, layout.ONNX_LATENCY: 0.25}
    assert child.tags[layout.MEASURED_ON] == "a node"
    assert layout.MEASURED_ON not in child_of_trial(trial).tags


def test_methods_have_the_colours_that_reports_give_them() -> None:
    study = toy_study()
    listed = study.space.parameters["method"].values()
    assert listed is not None
    trials = [
        TrialRecord(
            number=number,
            state=TrialState.COMPLETE,
            params={"method": method},
            metrics={"val_nmse_db": -1.0 - number, "ue_flops": 9.0 + number},
            taught=method == "kd",
        )
        for number, method in enumerate([*reversed(listed), "own"])
    ]
    trials[-1] = replace(trials[-1], taught=True)
    tags = standing_tags(trials, study)
    colours = {t.params["method"]: tags[trial_key(t.number)][layout.RUN_COLOUR] for t in trials}
    plain = [method for method in listed if method != "kd"]
    assert {colours[method] for method in plain} == {UNTAUGHT}
    assert [colours["kd"], colours["own"]] == list(PALETTE[:2])
    unnamed = standing_tags([replace(trials[0], params={})], study)
    assert layout.RUN_COLOUR not in unnamed[trial_key(trials[0].number)]
