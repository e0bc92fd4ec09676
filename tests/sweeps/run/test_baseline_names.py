"""Baselines of several data sets in one sweep keep apart, whatever a task calls them."""

from typing import Any

import pytest
from beam_trials import TASK as BEAMS
from csi_examples import TASK

from kdtasks.contract.task import Baseline, KDTask
from sweeps.common.events import Event
from sweeps.common.records import JobRecord
from sweeps.plan.needs import data_facts, need_of
from sweeps.run.confirmation import _results

Params = dict[str, Any]


def facts(task: KDTask, *points: Params) -> list[Params]:
    needs = [need_of(task, task.complete({"preset": "quick", **point})) for point in points]
    return list(data_facts(needs, task).values())


def test_one_data_set_needs_no_facts() -> None:
    points: list[Params] = [
        {"method": "vanilla"},
        {"method": "encoder-kd", "seed": 3, "encoder_depth": 2},
    ]
    assert facts(TASK, *points) == [{}]


@pytest.mark.parametrize(
    ("task", "name", "values"),
    [
        (TASK, "data_seed", [0, 1, 2]),
        (TASK, "num_train", [1000, 2000]),
        (BEAMS, "site_seed", [2, 3]),
        (BEAMS, "data_seed", [1, 2]),
    ],
)
def test_data_sets_differ_in_what_makes_them(task: KDTask, name: str, values: list[int]) -> None:
    points: list[Params] = [{name: value, "seed": place} for place, value in enumerate(values)]
    assert facts(task, *points) == [{name: value} for value in values]


def test_a_default_is_not_named_and_what_differs_from_it_is() -> None:
    assert facts(BEAMS, {"site_seed": 1}, {"site_seed": 2}) == [{}, {"site_seed": 2}]


def test_parameters_that_go_together_differ_though_neither_fits_alone() -> None:
    points: list[Params] = [
        {"num_antennas": 32, "num_subcarriers": 2, "compression": 128},  # nothing for 2 antennas
        {"num_antennas": 2, "num_subcarriers": 2, "compression": 4},
    ]
    one, other = facts(TASK, *points)
    assert (one["num_antennas"], other["num_antennas"]) == (32, 2)


def named(data: Params, **params: Any) -> JobRecord:
    baseline = Baseline(name="nearest", params=params, metrics={"test_top2": 1.0})
    event = Event(epoch=0, epochs=0, metrics={}, done=True, result=[baseline])
    draft = JobRecord(kind="baseline", key="baseline/x", params={}, started_ms=0, ended_ms=0)
    (record,) = _results(draft, event, data)
    return record


def test_a_baseline_has_the_facts_that_it_lacks_in_name_and_parameters() -> None:
    assert named({}).key == "baseline/nearest"
    found = named(
        {"data_path": "/home/ada/scenario8", "scenario": "deepsense"}, scenario="deepsense"
    )
    assert found.key == "baseline/nearest, data_path /home/ada/scenario8"
    assert found.params == {"scenario": "deepsense", "data_path": "/home/ada/scenario8"}
    assert found.metrics == {"test_top2": 1.0}
    other = named({"data_path": "/home/bob/scenario8", "scenario": "deepsense"})
    assert other.key != found.key
