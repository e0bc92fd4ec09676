"""Views of a sweep in MLflow: what they show, and what front ends that do not know them get."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.study import load_study, names
from sweeps.tracking.client import MlflowClient, front_end
from sweeps.tracking.views import FRONT_ENDS, TAG, described, views

KNOWN = FRONT_ENDS[1]
METHODS = load_study("csi-methods")


def test_views_name_runs_columns_and_order() -> None:
    study = load_study("csi-methods")
    found = {
        view.title: view for view in views(study, experiment_id="7", run_id="abc", front_end=KNOWN)
    }
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
    state = json.loads(
        next(iter(views(study, experiment_id="1", run_id="abc", front_end=KNOWN))).state
    )
    assert "params.`alpha`" in state["selectedColumns"]


def test_topologies_are_a_column_where_a_study_has_them() -> None:
    for name, shown in (("topology-table", True), ("csi-methods", False)):
        for view in views(load_study(name), experiment_id="1", run_id="abc", front_end=KNOWN):
            columns = json.loads(view.state)["selectedColumns"]
            assert ("params.`topology`" in columns) is shown
            assert len(set(columns)) == len(columns)
            assert "params.`method`" in columns


@pytest.mark.parametrize("name", names())
def test_charts_ask_for_numbers_that_runs_have(name: str) -> None:
    study = load_study(name)
    goals = [goal.metric for goal in study.objectives]
    for view in views(study, experiment_id="1", run_id="abc", front_end=KNOWN):
        state = json.loads(view.state)
        test = view.title.endswith("on test")
        metrics = [goal.replace("val_", "test_", 1) if test else goal for goal in goals]
        kinds = {chart["type"]: chart for chart in state["compareRunCharts"]}
        assert kinds["PARALLEL"]["selectedMetrics"] == metrics
        pairs = [
            (chart["xaxis"]["key"], chart["yaxis"]["key"])
            for chart in state["compareRunCharts"]
            if chart["type"] == "SCATTER"
        ]
        assert pairs == [(cost, metrics[0]) for cost in metrics[1:3]]
        assert len(state["compareRunCharts"]) == len(pairs) + 1
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections


@given(front_end=st.tuples(st.integers(2, 4), st.integers(0, 30)))
def test_other_front_ends_get_the_same_runs_by_filters_that_all_versions_read(
    front_end: tuple[int, int],
) -> None:
    for view in views(METHODS, experiment_id="1", run_id="abc", front_end=front_end):
        state = json.loads(view.state)
        given_by = dict(parse_qsl(view.fragment.partition("?")[2], strict_parsing=True))
        if FRONT_ENDS[0] <= front_end <= FRONT_ENDS[1]:
            assert given_by["viewStateShareKey"] == view.tag.removeprefix(TAG)
        else:
            assert "viewStateShareKey" not in given_by
            assert given_by["searchFilter"] == state["searchFilter"]
            assert given_by["orderByKey"] == state["orderByKey"]
            assert json.loads(given_by["orderByAsc"]) is state["orderByAsc"]


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's models
def test_the_installed_front_end_is_one_that_was_checked(tmp_path: Path) -> None:
    here = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    assert FRONT_ENDS[0] <= front_end(here) <= FRONT_ENDS[1]


@pytest.mark.parametrize(
    ("status", "text", "version"),
    [(200, "3.21.0.dev0", (3, 21)), (200, "<html>", (0, 0)), (404, "3.14.0", (0, 0))],
)
def test_a_server_gives_its_version(status: int, text: str, version: tuple[int, int]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = status if self.path == "/version" else 500
            self.send_response(found)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = MlflowClient(tracking_uri=f"http://127.0.0.1:{server.server_port}")
        assert front_end(client) == version
        server.shutdown()


def test_a_description_links_to_every_view() -> None:
    found = list(views(load_study("csi-methods"), experiment_id="7", run_id="abc", front_end=KNOWN))
    text = described("CSI feedback", found)
    assert text.startswith("CSI feedback\n")
    assert [line for line in text.splitlines() if line.startswith("- ")] == [
        f"- [{view.title}]({view.fragment})" for view in found
    ]
