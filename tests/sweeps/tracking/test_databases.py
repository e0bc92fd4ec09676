"""P5 and P6: what a run in MLflow costs, and databases that several sweeps open at once."""

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from toy_study import toy_study

from analysis import layout
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder, create
from sweeps.tracking.client import read_runs
from sweeps.tracking.runs import ChildRun
from sweeps.tracking.writer import Tracker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

ROOT = Path(__file__).resolve().parents[3]
RUNS, NUMBERS = 12, 20


def a_run(key: str, params: dict[str, int], metrics: dict[str, float]) -> ChildRun:
    return ChildRun(
        key=key,
        name=key,
        status="FINISHED",
        params=params,
        metrics=metrics,
        tags={layout.ROLE: layout.ROLE_TRIAL, layout.CHILD_KEY: key},
        started_ms=0,
        ended_ms=1,
    )


def test_p5_a_run_costs_little_more_than_the_one_batch_that_it_is(tmp_path: Path) -> None:
    """The stock callback asks the store once per number, which takes nine times as long."""
    folder = SweepFolder(tmp_path / "toy")
    create(folder, toy_study().text)
    tracker = Tracker.start(folder, None, toy_study(), started_ms=0)
    client = MlflowClient(tracking_uri=folder.tracking_uri)
    experiment = client.create_experiment("bare")
    params = {f"p{index}": index for index in range(NUMBERS)}
    metrics = {f"m{index}": float(index) for index in range(NUMBERS)}

    def ours(index: int) -> None:
        tracker.write(a_run(f"trial/{index}", params, metrics))

    def bare(_index: int) -> None:
        run = client.create_run(experiment).info.run_id
        numbers = [Metric(name, value, 0, 0) for name, value in metrics.items()]
        texts = [Param(name, str(value)) for name, value in params.items()]
        client.log_batch(run, metrics=numbers, params=texts)
        client.set_terminated(run)

    def one_by_one(_index: int) -> None:
        run = client.create_run(experiment).info.run_id
        for name, value in metrics.items():
            client.log_metric(run, name, value)
        for name, param in params.items():
            client.log_param(run, name, param)
        client.set_terminated(run)

    ways: dict[str, Callable[[int], None]] = {"ours": ours, "bare": bare, "single": one_by_one}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for index in range(RUNS):  # in turn, so that a busy machine slows all of them
        for name, way in ways.items():
            begun_s = time.perf_counter()
            way(index)
            seconds[name].append(time.perf_counter() - begun_s)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    assert medians["ours"] < 2.0 * medians["bare"], medians
    assert medians["ours"] < 0.5 * medians["single"], medians


OPEN = """
import sys
sys.path[:0] = ["tests", "tests/sweeps"]
from pathlib import Path
from toy_study import toy_study
from sweeps.tracking.runs import ChildRun
from sweeps.ledger.paths import check_new, create
from sweeps.ledger.ledger import Ledger
from sweeps.tracking.writer import Tracker

home, name, uri = Path(sys.argv[1]), sys.argv[2], sys.argv[3] or None
print("ready", flush=True)
sys.stdin.readline()
folder = check_new(home, name)
create(folder, toy_study().text)
Ledger.create(folder.journal, toy_study())
tracker = Tracker.start(folder, uri, toy_study(), 0, name)
for key in ("trial/0", "trial/1"):
    tracker.write(ChildRun(key=key, name=key, status="FINISHED", params={"x": 1},
        metrics={"m": 1.0}, tags={"kdsweep.key": key}, started_ms=0, ended_ms=1))
tracker.end("FINISHED", 1)
"""


@pytest.mark.parametrize("shared", [False, True])
def test_p6_sweeps_that_start_at_once_on_a_fresh_home_have_whole_databases(
    shared: bool, tmp_path: Path
) -> None:
    """Of four processes that open a fresh database of MLflow at once, three crash."""
    home, names = tmp_path / "home", [f"sweep-{index}" for index in range(4)]
    uri = f"sqlite:///{tmp_path / 'runs.db'}" if shared else ""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(home), name, uri],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in started:  # all are at the same line before the first goes on
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ends = [process.communicate("go\n") for process in started]
    assert [process.returncode for process in started] == [0] * 4, ends
    for name in names:
        folder = SweepFolder(home / name)
        assert Ledger.open(folder.journal).trials() == []
        parent, runs = read_runs(folder, uri or None)
        assert parent.status == "FINISHED"
        assert {run.tags[layout.CHILD_KEY] for run in runs} == {"trial/0", "trial/1"}
    databases = [tmp_path / "runs.db"] if shared else [*home.glob(f"*/{layout.MLFLOW_FILE}")]
    assert len(databases) == (1 if shared else 4)
    for path in databases:
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
