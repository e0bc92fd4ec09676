import json
from itertools import combinations

import pytest

from search_spaces.study import load_study, names
from sweeps.tracking.views import TAG, described, views


def test_views_name_runs_columns_and_order() -> None:
    study = load_study("csi-methods")
    found = {view.title: view for view in views(study, experiment_id="7", run_id="abc")}
    assert list(found) == [
        "the front",
        "the front as charts",
        "the ranks near it",
        "the ranks near it as charts",
        "all trials",
        "repetitions on test",
    ]
    for view in found.values():
        state = json.loads(view.state)
        assert "`mlflow.parentRunId` = 'abc'" in state["searchFilter"]
        assert state["orderByAsc"] is True
        assert view.tag.removeprefix(TAG) in view.fragment
        assert view.fragment.startswith("#/experiments/7/runs?")
    front = json.loads(found["the front"].state)
    assert "`pareto.front` = 'true'" in front["searchFilter"]
    assert "metrics.`ue_flops`" in front["selectedColumns"]
    assert "params.`compression`" in front["selectedColumns"]
    assert found["the front"].tag == found["the front as charts"].tag
    test = json.loads(found["repetitions on test"].state)
    assert test["orderByKey"] == "metrics.`test_nmse_db`"


def test_studies_of_points_show_the_parameters_of_their_points() -> None:
    study = load_study("csi-tables")
    state = json.loads(next(iter(views(study, experiment_id="1", run_id="abc"))).state)
    assert "params.`alpha`" in state["selectedColumns"]


def test_topologies_are_a_column_where_a_study_has_them() -> None:
    for name, shown in (("topology-table", True), ("csi-methods", False)):
        for view in views(load_study(name), experiment_id="1", run_id="abc"):
            columns = json.loads(view.state)["selectedColumns"]
            assert ("params.`topology`" in columns) is shown
            assert len(set(columns)) == len(columns)
            assert "params.`method`" in columns


def test_contours_are_over_what_has_many_values() -> None:
    charts = json.loads(
        next(iter(views(load_study("learngene"), experiment_id="1", run_id="a"))).state
    )
    (contour,) = (c for c in charts["compareRunCharts"] if c["type"] == "CONTOUR")
    assert [contour[f"{axis}axis"]["key"] for axis in "xy"] == ["learning_rate", "macs"]


@pytest.mark.parametrize("name", names())
def test_charts_ask_for_numbers_that_runs_have(name: str) -> None:
    study = load_study(name)
    goals = [goal.metric for goal in study.objectives]
    for view in views(study, experiment_id="1", run_id="abc"):
        state = json.loads(view.state)
        test = view.title.endswith("on test")
        metrics = [goal.replace("val_", "test_", 1) if test else goal for goal in goals]
        kinds = {chart["type"]: chart for chart in state["compareRunCharts"]}
        assert kinds["PARALLEL"]["selectedMetrics"] == metrics
        pairs = [
            {chart[axis]["key"] for axis in ("xaxis", "yaxis")}
            for chart in state["compareRunCharts"]
            if chart["type"] == "SCATTER"
        ]
        assert sorted(map(sorted, pairs)) == sorted(sorted(p) for p in combinations(metrics, 2))
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
        if "CONTOUR" in kinds:
            axes = [kinds["CONTOUR"][f"{axis}axis"] for axis in "xyz"]
            assert len({axis["key"] for axis in axes}) == 3
            assert axes[2] == {"type": "METRIC", "key": metrics[0]}


def test_a_description_links_to_every_view() -> None:
    found = list(views(load_study("csi-methods"), experiment_id="7", run_id="abc"))
    text = described("CSI feedback", found)
    assert text.startswith("CSI feedback\n")
    assert [line for line in text.splitlines() if line.startswith("- ")] == [
        f"- [{view.title}]({view.fragment})" for view in found
    ]
