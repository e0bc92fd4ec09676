"""A finished sweep is extended and rebuilt; whose run in MLflow is whose."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from command_line import kdsweep
from toy_study import toy_study

from analysis import layout
from benchmarks.kill_resume import ROOT, finished, trials_of, write_study
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


def elsewhere(folder: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands one after the other, in a process that knows nothing of those before."""
    home = f" --home {folder / 'runs'}"
    return subprocess.run(
        [sys.executable, "-c", EACH, *(command + home for command in commands)],
        cwd=folder / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("own_folder")
def test_a_finished_sweep_is_extended_read_without_options_and_rebuilt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, 4)
    (tmp_path / "elsewhere").mkdir()
    server = ("--tracking-uri", "sqlite:///elsewhere/runs.db")
    code, _, errors = kdsweep(capsys, "run", "toy.yaml", "--backend", "inline", *server)
    assert code == 0, errors
    sweep = tmp_path / "runs" / "toy"
    four = finished(trials_of(sweep))
    again = ("run", "toy.yaml", "--name", "toy")
    code, _, errors = kdsweep(capsys, *again, "--set", "space.width.high=9")
    assert code == 2
    [refused] = [line for line in errors.splitlines() if line.startswith("kdsweep: ")]
    assert "high is 9, was 8" in refused
    code, _, errors = kdsweep(capsys, *again, "--trials", "7", "--backend", "inline")
    assert code == 0, errors
    seven = finished(trials_of(sweep))
    assert len(seven) == 7
    assert all(seven[number] == trial for number, trial in four.items())
    uri = read_settings(sweep).tracking_uri
    assert verify_sweep(sweep, uri) == []
    # MLflow's database is gone: the ledger has everything
    databases = {path.name for path in (tmp_path / "elsewhere").glob("runs.db*")}
    for name in databases:
        (tmp_path / "elsewhere" / name).unlink()
    # the address is relative, and remembered
    done = elsewhere(tmp_path, "resume toy", "verify toy")
    assert "searching" not in done.stdout
    assert done.stdout.endswith("toy: ledger, results file, MLflow and front agree\n[0, 0]\n"), (
        done.stderr
    )
    assert (tmp_path / "elsewhere" / "runs.db").is_file()
    assert "runs.db" in databases
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
