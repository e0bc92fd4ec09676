"""What a run is tagged with in MLflow."""

import pytest

from analysis import layout
from sweeps.children import child_of_job, child_of_trial
from sweeps.records import JobRecord, TrialRecord, TrialState

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


def test_tasks_without_topologies_have_no_such_tag() -> None:
    trial = TrialRecord(number=0, state=TrialState.FAIL, params={"x": 1}, reason="no")
    assert not {layout.TOPOLOGY, layout.METHOD} & child_of_trial(trial).tags.keys()
