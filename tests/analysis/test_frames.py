"""What the tracker wrote is what the reader returns."""

import gc
import math
from dataclasses import replace

import pytest
from synthetic_frames import make_frames, write_mlflow

from analysis import layout
from analysis.errors import ResultsError
from analysis.frames import FACTS, PARAM, read_sweep, table
from analysis.front_rows import front_rows
from analysis.fronts import front_trials
from analysis.report import build_report

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sweep and the store that holds it."""
    frames = make_frames(trials=9, failures=1)
    best = front_trials(frames).iloc[0]
    curve = [(0, best["val_nmse_db"]), (1, -1.0), (7, best["val_nmse_db"])]
    frames = replace(frames, curves={best["number"]: curve})
    return frames, write_mlflow(frames, tmp_path_factory.mktemp("sweep"))


def as_rows(frame):
    """Rows without what is missing, so that two tables compare by content."""
    rows = frame.to_dict("records")
    kept = [{str(k): v for k, v in row.items() if not missing(v)} for row in rows]
    return sorted(kept, key=lambda row: row["key"])


def missing(value):
    return value is None or (isinstance(value, float) and math.isnan(value))


@pytest.mark.slow
def test_a_sweep_comes_back_as_it_was_written(written):
    frames, uri = written
    read = read_sweep(uri, frames.name, curves=True)
    assert read.study == frames.study
    assert list(read.hypervolume) == list(frames.hypervolume)
    assert (read.provenance, read.environment) == (frames.provenance, frames.environment)
    assert read.wall_time_s is not None
    assert read.curves == frames.curves
    for name in ("trials", "teachers", "baselines", "confirmations"):
        before, after = as_rows(getattr(frames, name)), as_rows(getattr(read, name))
        assert after == before, name
    assert front_rows(read) == front_rows(frames)


@pytest.mark.slow
def test_the_report_of_a_sweep_that_was_read(written, tmp_path):
    frames, uri = written
    files = build_report(read_sweep(uri, frames.name), tmp_path)
    assert frames.study.title in files.html.read_text("utf-8")


@pytest.mark.slow
def test_ranks_are_computed_while_tags_are_missing(written, tmp_path):
    frames, _ = written
    blank = frames.trials.assign(rank=None, front=None)
    uri = write_mlflow(replace(frames, trials=blank), tmp_path)
    read = read_sweep(uri, frames.name)
    assert list(read.trials["rank"]) == list(frames.trials["rank"])


@pytest.mark.slow
def test_an_unknown_sweep_names_those_there_are(written):
    _, uri = written
    with pytest.raises(ResultsError, match=r"'nope'.*made-up-1"):
        read_sweep(uri, "nope")


@pytest.mark.slow
def test_two_sweeps_of_one_name_are_refused(written, tmp_path):
    from mlflow import MlflowClient

    frames, _ = written
    uri = write_mlflow(make_frames(trials=0, failures=0), tmp_path)
    client = MlflowClient(tracking_uri=uri)
    other = client.create_experiment("other", (tmp_path / "other").as_uri())
    tags = {layout.ROLE: layout.ROLE_SWEEP}
    client.create_run(other, tags=tags, run_name=frames.name)
    with pytest.raises(ResultsError, match="2 sweeps are called 'made-up-1'"):
        read_sweep(uri, frames.name)


def test_a_missing_database_is_not_created(tmp_path):
    path = tmp_path / "runs" / layout.MLFLOW_FILE
    with pytest.raises(ResultsError, match="no MLflow database"):
        read_sweep(f"sqlite:///{path}", "any")
    assert not path.parent.exists()


def test_other_files_are_refused(tmp_path):
    empty, text = tmp_path / "empty.db", tmp_path / "text.db"
    empty.touch()
    text.write_text("this is no database" * 100)
    for path in (empty, text):
        with pytest.raises(ResultsError, match="MLflow database"):
            read_sweep(f"sqlite:///{path}", "any")
    assert empty.stat().st_size == 0


def test_tables_keep_parameters_as_they_are():
    frame = table([{PARAM + "width": 8, "loss": 1.0}, {PARAM + "width": None}])
    assert frame[PARAM + "width"].tolist() == [8, None]
    assert frame["loss"].isna().tolist() == [False, True]
    assert set(table([]).columns) == set(FACTS)


def test_a_table_with_hundreds_of_metrics_is_made_in_one_go():
    rows = [{f"metric_{index}": float(index) for index in range(300)}] * 2
    made = table(rows)  # pandas warns where columns are added one by one
    assert made.shape == (2, 300 + len(FACTS))
    assert made["metric_299"].tolist() == [299.0, 299.0]
    assert list(table([]).columns) == list(FACTS)


def test_reading_leaves_the_garbage_collector_as_it_was(tmp_path):
    for on in (True, False):
        (gc.enable if on else gc.disable)()
        try:
            with pytest.raises(ResultsError, match="no MLflow database"):
                read_sweep(f"sqlite:///{tmp_path}/none.db", "sweep")
            assert gc.isenabled() == on
        finally:
            gc.enable()
