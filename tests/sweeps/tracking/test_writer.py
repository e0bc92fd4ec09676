from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.data import get_source
from toy_study import toy_study

from analysis import layout
from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.task import ScenarioData
from sweeps.common.curves import MOST_CURVES, MOST_POINTS
from sweeps.ledger.identity import content_of
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.ledger.paths import SweepFolder, check_new, create
from sweeps.ledger.sqlite_file import sqlite_uri
from sweeps.tracking.client import MlflowClient, read_runs
from sweeps.tracking.data_inputs import data_inputs
from sweeps.tracking.runs import ChildRun
from sweeps.tracking.writer import Tracker

pytestmark = [
    pytest.mark.slow,  # MLflow makes 65 tables
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

CHILD = ChildRun(
    key="trial/0",
    name="trial 0",
    status="FINISHED",
    params={"width": "2", "x": "0.1", "log": "True", **{f"p{i}": str(i) for i in range(120)}},
    metrics={"val_nmse_db": -5.25, **{f"m{i}": float(i) for i in range(230)}},
    tags={layout.ROLE: layout.ROLE_TRIAL, layout.CHILD_KEY: "trial/0"},
    started_ms=1000,
    ended_ms=2000,
)


def make(home: Path, name: str = "one") -> SweepFolder:
    folder = check_new(home, name)
    create(folder, toy_study().text)
    return folder


def test_a_run_comes_back_whole_and_writing_it_again_changes_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path)
    tracker = Tracker.start(folder, None, toy_study(), started_ms=0)
    tracker.write(CHILD)
    tracker.write(CHILD)
    tracker.write_missing([CHILD])
    tracker.write(replace(CHILD, metrics={**CHILD.metrics, "test_nmse_db": -5.0}))
    tracker.end("FINISHED", 3000)
    parent, [run] = read_runs(folder, None)
    assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
    assert run.data.params == CHILD.params
    assert run.data.metrics == {**CHILD.metrics, "test_nmse_db": -5.0}
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert tracker._client.get_metric_history(run.info.run_id, "val_nmse_db")[0].timestamp == 2000


def test_a_run_that_failed_at_first_and_one_that_is_there_twice_are_mended(tmp_path: Path) -> None:
    folder = make(tmp_path)
    tracker = Tracker.start(folder, None, toy_study(), started_ms=0)
    failed = {**CHILD.tags, layout.REASON: "diverged"}
    tracker.write(replace(CHILD, status="FAILED", metrics={}, tags=failed))
    tracker.write(CHILD)
    other = replace(CHILD, key="trial/1", tags={**CHILD.tags, layout.CHILD_KEY: "trial/1"})
    for _ in range(2):
        tracker._runs.pop("trial/1", None)  # the answer to the first write was lost
        tracker.write(other)
    ranked = replace(other, tags={**other.tags, layout.ON_FRONT: "true"})
    missing = replace(CHILD, key="trial/2", tags={**CHILD.tags, layout.CHILD_KEY: "trial/2"})
    tracker.write_missing([CHILD, ranked, missing])
    _, runs = read_runs(folder, None)
    tags = {run.data.tags[layout.CHILD_KEY]: run.data.tags for run in runs}
    assert len(runs) == 3
    assert layout.REASON not in tags["trial/0"]
    assert tags["trial/1"][layout.ON_FRONT] == "true"


def test_a_database_of_the_users_own_holds_several_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    home = tmp_path / "home"
    for name in ("one", "two"):
        tracker = Tracker.start(make(home, name), uri, toy_study(), started_ms=0)
        tracker.write(CHILD)
        tracker.text("note.txt", name)
    for name in ("one", "two"):
        _, runs = read_runs(SweepFolder(home / name), uri)
        assert len(runs) == 1
    with pytest.raises(ConfigError, match="has a sweep one; choose another --name"):
        Tracker.start(SweepFolder(home / "one"), uri, toy_study(), started_ms=0)
    assert not (tmp_path / "mlruns").exists()


def test_runs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mlflow\.db does not exist"):
        read_runs(SweepFolder(tmp_path / "nothing"), None)
    uri = sqlite_uri(tmp_path / "shared.db")
    folder = make(tmp_path)
    Tracker.start(folder, uri, toy_study(), started_ms=0, sweep_id="a")
    for known in ("b", ""):
        other = make(tmp_path, f"other{known}")
        write_settings(other.path, SweepSettings(id=known))
        with pytest.raises(ConfigError, match=r"MLflow has no sweep named other"):
            read_runs(other, uri)
    write_settings(other.path, SweepSettings(id="a"))
    assert read_runs(other, uri)[0].info.run_name == folder.name


def test_a_uri_that_leads_nowhere_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    uri = f"sqlite:///{tmp_path / 'file' / 'runs.db'}"
    with pytest.raises(UserError, match="MLflow"):
        Tracker.start(make(tmp_path), uri, toy_study(), started_ms=0)
    with pytest.raises(UserError, match="MLflow"):
        Tracker.start(make(tmp_path, "two"), "gopher://server", toy_study(), started_ms=0)


def test_a_number_with_a_curve_shows_its_last_value(tmp_path: Path) -> None:
    folder = make(tmp_path)
    tracker = Tracker.start(folder, None, toy_study(), started_ms=0)
    curve = {"val_nmse_db": [(1, -1.0), (3, -7.0), (8, -5.25)]}
    for _ in range(2):
        tracker.write(replace(CHILD, curves=curve))
    _, [run] = read_runs(folder, None)
    assert run.data.metrics == CHILD.metrics
    history = tracker._client.get_metric_history(run.info.run_id, "val_nmse_db")
    assert sorted((m.step, m.value) for m in history) == [(1, -1.0), (3, -7.0), (8, -5.25)]
    [single] = tracker._client.get_metric_history(run.info.run_id, "m0")
    assert single.step == 0


def test_a_run_with_long_curves_is_written_in_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker.start(make(tmp_path), None, toy_study(), started_ms=0)
    names = [f"c{i}" for i in range(MOST_CURVES)]
    curves = {name: [(epoch, 0.5 * epoch) for epoch in range(1, 51)] for name in names}
    metrics = dict.fromkeys(names, 25.0)
    sizes = []
    monkeypatch.setattr(
        tracker._client,
        "log_batch",
        lambda *_, metrics=(), **__: sizes.append(len(metrics)),
    )
    tracker.write(replace(CHILD, params={"x": "1"}, metrics=metrics, curves=curves))
    assert sizes == [MOST_CURVES * MOST_POINTS]


def test_data_are_noted_once_with_their_digest(tmp_path: Path) -> None:
    folder = make(tmp_path)
    tracker = Tracker.start(folder, None, toy_study(), started_ms=0)
    arrays = {"noise": np.zeros((4, 2), np.float32)}
    made = ScenarioData(train=arrays, val=arrays, test=arrays, provenance={"source": "a formula"})
    inputs = list(data_inputs("toy", "0123456789abcdef", made, content_of(made)))
    for _ in range(2):
        tracker.data(inputs)
    parent, _ = read_runs(folder, None)
    noted = MlflowClient(folder.tracking_uri).get_run(parent.info.run_id).inputs.dataset_inputs
    contexts = {entry.dataset.name: [tag.value for tag in entry.tags] for entry in noted}
    assert contexts == {f"toy {name}": [name] for name in ("train", "validation", "test")}
    assert {entry.dataset.digest for entry in noted} == {one.dataset.digest for one in inputs}
    for entry in noted:
        assert get_source(entry.dataset).to_dict()["tags"]["source"] == "a formula"
