"""P6: databases that several sweeps open at once."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from analysis import layout
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.tracking.client import read_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

ROOT = Path(__file__).resolve().parents[3]
OPEN = """
import json, os, sys
sys.path[:0] = ["tests", "tests/sweeps"]
from pathlib import Path
from toy_study import toy_study
import mlflow.store.tracking.sqlalchemy_store
from sweeps.tracking.runs import ChildRun
from sweeps.ledger.paths import check_new, create
from sweeps.ledger.ledger import Ledger
from sweeps.tracking.writer import Tracker

def sweep(home, name, uri):
    folder = check_new(home, name)
    create(folder, toy_study().text)
    Ledger.create(folder.journal, toy_study())
    tracker = Tracker.start(folder, uri, toy_study(), 0, name)
    for key in ("trial/0", "trial/1"):
        tracker.write(ChildRun(key=key, name=key, status="FINISHED", params={"x": "1"},
            metrics={"m": 1.0}, tags={"kdsweep.key": key}, started_ms=0, ended_ms=1))
    tracker.end("FINISHED", 1)

home, uris = Path(sys.argv[1]), json.loads(sys.argv[2])
reader, writer = os.pipe()
children = []
for name, uri in uris.items():
    if not (child := os.fork()):
        os.close(writer)
        os.read(reader, 1)  # returns when all are here and the parent lets go
        sweep(home, name, uri or None)
        os._exit(0)
    children.append(child)
os.close(writer)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def test_p6_sweeps_that_start_at_once_on_a_fresh_home_have_whole_databases(tmp_path: Path) -> None:
    """Of four processes that open a fresh database of MLflow at once, three crash."""
    home, shared = tmp_path / "home", f"sqlite:///{tmp_path / 'runs.db'}"
    uris = {"one": shared, "two": shared, "three": shared, "own": ""}
    done = subprocess.run(  # one process imports, and becomes four
        [sys.executable, "-c", OPEN, str(home), json.dumps(uris)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, uri in uris.items():
        folder = SweepFolder(home / name)
        assert Ledger.open(folder.journal).trials() == []
        parent, runs = read_runs(folder, uri or None)
        assert parent.info.status == "FINISHED"
        assert {run.data.tags[layout.CHILD_KEY] for run in runs} == {"trial/0", "trial/1"}
    [own] = home.glob(f"*/{layout.MLFLOW_FILE}")
    assert own.parent.name == "own"
    for path in (tmp_path / "runs.db", own):
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
