"""MLflow's database read without MLflow gives what MLflow's client gives."""

import hashlib
import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from synthetic_frames import make_frames, write_mlflow

from analysis import layout
from analysis.errors import ResultsError
from analysis.frames import read_sweep
from analysis.mlflow_runs import client_runs
from analysis.runs import PARENT
from analysis.sqlite_file import SQLITE
from analysis.sqlite_runs import UnknownStoreError, database_runs

pytestmark = [
    pytest.mark.slow,
    # MLflow 3.17 uses what SQLAlchemy 2.1 deprecates
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]

ROLE = (layout.ROLE, layout.ROLE_SWEEP)


@pytest.fixture
def store(tmp_path):
    """A sweep, runs with odd numbers and texts, and runs that were deleted."""
    from mlflow import MlflowClient

    frames = make_frames(trials=5, failures=1)
    uri = write_mlflow(frames, tmp_path)
    client = MlflowClient(tracking_uri=uri)
    (sweep,) = client.search_runs(["1"], f"tags.`{ROLE[0]}` = '{ROLE[1]}'")
    parent = sweep.info.run_id
    for number, value in enumerate([math.nan, math.inf, -math.inf, 3, 1e-300]):
        tags = {PARENT: parent, layout.ROLE: layout.ROLE_TEACHER, "a tag": "ä 'quoted' \"one\""}
        run = client.create_run("1", tags=tags, run_name=f"odd {number}").info.run_id
        client.log_metric(run, "odd", value, step=number)
        client.log_metric(run, "odd", value, step=number + 1)
        client.log_param(run, "name", "'; DROP TABLE runs")
        client.log_metric(parent, layout.HYPERVOLUME, value, step=number)
    client.delete_run(client.create_run("1", tags={PARENT: parent}).info.run_id)
    gone = client.create_experiment("gone", (tmp_path / "gone").as_uri())
    client.create_run(gone, tags=dict([ROLE]), run_name="in a deleted experiment")
    client.delete_experiment(gone)
    return frames.name, uri


def ordered(runs):
    """Return runs with their metrics in one order; as text, for NaN is not itself."""
    return [repr(replace(run, metrics=dict(sorted(run.metrics.items())))) for run in runs]


def test_both_readers_see_the_same(store):
    name, uri = store
    files = (layout.STUDY_FILE, "provenance.json", "no such file")
    with client_runs(uri, name) as client, database_runs(uri) as database:
        (theirs,), (ours,) = client.tagged(*ROLE), database.tagged(*ROLE)
        assert ordered([ours]) == ordered([theirs])
        assert len(ours.params) or len(ours.tags)
        assert ordered(database.below(ours)) == ordered(client.below(theirs))
        assert len(database.below(ours)) > 10
        for metric in (layout.HYPERVOLUME, "none"):
            found = database.history(ours, metric)
            assert sorted(map(repr, found)) == sorted(map(repr, client.history(theirs, metric)))
        assert database.texts(ours, files) == client.texts(theirs, files)
        assert files[-1] not in database.texts(ours, files)


def changed(uri, statement):
    with closing(sqlite3.connect(uri.removeprefix(SQLITE))) as database, database:
        database.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE latest_metrics RENAME COLUMN is_nan TO other",
        "UPDATE runs SET artifact_uri = 's3://elsewhere/' || run_uuid",
    ],
)
def test_what_is_not_as_expected_is_left_to_mlflow(store, statement):
    name, uri = store
    changed(uri, statement)
    with pytest.raises(UnknownStoreError), database_runs(uri) as runs:
        runs.texts(runs.tagged(*ROLE)[0], (layout.STUDY_FILE,))
    with pytest.raises((ResultsError, ImportError)):  # here it knows no better
        read_sweep(uri, name)


def test_nothing_is_written_and_mlflow_is_not_imported(store, tmp_path):
    name, _ = store
    alone = tmp_path / "alone"  # a copy: MLflow's client holds the first and may close it any time
    alone.mkdir()
    path = alone / layout.MLFLOW_FILE
    held, database = sqlite3.connect(tmp_path / layout.MLFLOW_FILE), sqlite3.connect(path)
    with closing(held), closing(database):
        held.backup(database)
        assert database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    before = digests(alone)
    script = (
        "import sys; from analysis.frames import read_sweep; "
        f"read_sweep({SQLITE + str(path)!r}, {name!r}); sys.exit('mlflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert digests(alone) == before


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
