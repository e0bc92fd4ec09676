"""What was recorded is what the reader returns, also by way of the file."""

import math
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from synthetic_frames import as_runs, make_frames

from analysis.errors import ResultsError
from analysis.frames import FACTS, PARAM, frames_of, table
from analysis.front_rows import front_rows
from analysis.fronts import front_trials
from analysis.report import build_report
from analysis.results_file import read_runs, write_runs


@pytest.fixture(scope="module")
def frames():
    made = make_frames(trials=9, failures=1)
    best = front_trials(made).iloc[0]
    curve = [(0, best["val_nmse_db"]), (1, -1.0), (7, best["val_nmse_db"])]
    return replace(made, curves={best["number"]: curve})


def as_rows(frame):
    """Rows without what is missing, so that two tables compare by content."""
    rows = frame.to_dict("records")
    kept = [{str(k): v for k, v in row.items() if not missing(v)} for row in rows]
    return sorted(kept, key=lambda row: row["key"])


def missing(value):
    return value is None or (isinstance(value, float) and math.isnan(value))


def test_a_sweep_comes_back_as_it_was_written(frames, tmp_path):
    write_runs(tmp_path / "r.parquet", as_runs(frames), "7")
    read = frames_of(frames.name, read_runs(tmp_path / "r.parquet", "7"))
    assert read.study == frames.study
    assert (read.provenance, read.environment) == (frames.provenance, frames.environment)
    assert (read.wall_time_s, read.curves) == (frames.wall_time_s, frames.curves)
    for name in ("trials", "teachers", "baselines", "confirmations"):
        before, after = as_rows(getattr(frames, name)), as_rows(getattr(read, name))
        assert after == before, name
    assert front_rows(read) == front_rows(frames)
    assert frames.study.title in build_report(read, tmp_path).read_text("utf-8")


def test_every_number_and_text_passes_through_the_file(frames, tmp_path):
    path = tmp_path / "r.parquet"
    odd = {"nan": math.nan, "inf": math.inf, "low": -math.inf, "tiny": 5e-324, "big": 1.8e308}
    text = {"a 'b' \"c\"": "ä\n\0; DROP TABLE", "": ""}
    sweep = as_runs(frames)[0]
    run = replace(sweep, metrics=odd, tags=text, params=text, curves={"x": [(1, math.nan)]})
    write_runs(path, [sweep, run], "0")
    assert repr(read_runs(path, "0", all_curves=True)) == repr([sweep, run])


def test_what_is_no_file_of_results_is_not_read(frames, tmp_path):
    path = tmp_path / "r.parquet"
    assert read_runs(path, "1") is None
    write_runs(path, as_runs(frames), "1")
    assert read_runs(path, "2") is None  # the ledger is another one
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place])
        assert read_runs(path, "1") is None
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        assert read_runs(path, "1") in (None, as_runs(frames)), place
    other = pq.read_table(_copy(path, whole)).drop(["texts"])
    pq.write_table(other, path)
    assert read_runs(path, None) is None


def _copy(path, content):
    path.write_bytes(content)
    return path


def test_ranks_are_computed_while_tags_are_missing(frames):
    blank = replace(frames, trials=frames.trials.assign(rank=None, front=None))
    read = frames_of(frames.name, as_runs(blank))
    assert list(read.trials["rank"]) == list(frames.trials["rank"])


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "7", "null", "9" * 5000, '{"a":' * 500])
def test_damaged_texts_are_one_error(frames, text):
    sweep, *below = as_runs(frames)
    for file in ("provenance.json", "environment.json"):
        with pytest.raises(ResultsError, match=f"'{frames.name}' is damaged"):
            frames_of(frames.name, [replace(sweep, texts={**sweep.texts, file: text}), *below])


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
