import json

from search_spaces.study import load_study
from sweeps.mlflow_views import TAG, views


def test_views_name_runs_columns_and_order() -> None:
    study = load_study("csi-feedback")
    found = {view.title: view for view in views(study, experiment_id="7", run_id="abc")}
    assert set(found) == {"the front", "all trials", "repetitions on test"}
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
    test = json.loads(found["repetitions on test"].state)
    assert test["orderByKey"] == "metrics.`test_nmse_db`"


def test_studies_of_points_show_the_parameters_of_their_points() -> None:
    study = load_study("csi-tables")
    state = json.loads(next(iter(views(study, experiment_id="1", run_id="abc"))).state)
    assert "params.`alpha`" in state["selectedColumns"]


def test_topologies_are_a_column_where_a_study_has_them() -> None:
    for name, shown in (("topology-table", True), ("csi-feedback", False)):
        for view in views(load_study(name), experiment_id="1", run_id="abc"):
            columns = json.loads(view.state)["selectedColumns"]
            assert ("tags.`topology`" in columns) is shown
            assert "params.`topology`" not in columns
