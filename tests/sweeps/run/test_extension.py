"""A finished sweep is extended and rebuilt; whose run in MLflow is whose."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from toy_study import toy_study

from analysis import layout
from benchmarks.kill_resume import (
    CALL,
    ROOT,
    finished,
    trials_of,
    write_study,
)
from kdtasks.contract.errors import ConfigError
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.paths import SweepFolder, create
from sweeps.tracking.verify import verify_sweep
from sweeps.tracking.writer import Tracker

pytestmark = [
    pytest.mark.slow,
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]


EACH = """
import sys
from sweeps.cli.main import main

codes = []
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as ended:
        codes.append(ended.code or 0)
print(codes)
"""


def call(folder: Path, *arguments: str, code: str = CALL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
def test_a_finished_sweep_is_extended_read_without_options_and_rebuilt(tmp_path: Path) -> None:
    write_study(tmp_path, 4)
    (tmp_path / "elsewhere").mkdir()
    server = ("--tracking-uri", "sqlite:///elsewhere/runs.db")
    assert call(tmp_path, "run", "toy.yaml", "--backend", "inline", *server).returncode == 0
    sweep = tmp_path / "runs" / "toy"
    four = finished(trials_of(sweep))
    # the address is relative, and remembered
    home = ("--home", str(tmp_path / "runs"))
    done = call(tmp_path / "elsewhere", "verify", "toy", *home)
    assert done.returncode == 0, done.stderr
    again = "run toy.yaml --name toy"
    commands = [f"{again} --set space.width.high=9", f"{again} --trials 7 --backend inline"]
    both = call(tmp_path, *commands, code=EACH)
    [other, longer] = json.loads(both.stdout.splitlines()[-1])
    assert (other, longer) == (2, 0), both.stderr
    [refused] = [line for line in both.stderr.splitlines() if line.startswith("kdsweep: ")]
    assert "high is 9, was 8" in refused
    seven = finished(trials_of(sweep))
    assert len(seven) == 7
    assert all(seven[number] == trial for number, trial in four.items())
    uri = read_settings(sweep).tracking_uri
    assert verify_sweep(sweep, uri) == []
    # MLflow's database is gone: the ledger has everything
    for path in (tmp_path / "elsewhere").glob("runs.db*"):
        path.unlink()
    done = call(tmp_path, "resume toy", "verify toy", code=EACH)
    assert "searching" not in done.stdout
    assert done.stdout.endswith("toy: ledger, results file, MLflow and front agree\n[0, 0]\n"), (
        done.stderr
    )
    assert finished(trials_of(sweep)) == seven


def test_a_run_in_mlflow_that_is_another_sweeps_is_left_alone(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "toy")
    create(folder, toy_study().text)
    shared = f"sqlite:///{tmp_path}/runs.db"
    Tracker.start(folder, shared, toy_study(), 0, sweep_id="first")
    assert Tracker.resume(folder, shared, "first") is not None
    with pytest.raises(ConfigError, match="MLflow has another sweep toy"):
        Tracker.resume(folder, shared, "second")


@pytest.mark.parametrize("damage", ["deleted", "empty", "text", "half made"])
def test_a_database_that_mlflow_cannot_open_is_set_aside(tmp_path: Path, damage: str) -> None:
    folder = SweepFolder(tmp_path / "toy")
    create(folder, toy_study().text)
    database = folder.path / layout.MLFLOW_FILE
    if damage == "half made":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE runs (run_uuid TEXT)")
    elif damage != "deleted":
        database.write_text("" if damage == "empty" else "no database at all" * 99)
    assert Tracker.resume(folder, None, "first") is None
    assert not database.exists()
    kept = database.with_name("mlflow.db.damaged").exists()
    assert kept is (damage in ("text", "half made", "empty"))
