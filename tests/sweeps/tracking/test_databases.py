"""P6: databases that several sweeps open at once."""

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
    tracker.write(ChildRun(key=key, name=key, status="FINISHED", params={"x": "1"},
        metrics={"m": 1.0}, tags={"kdsweep.key": key}, started_ms=0, ended_ms=1))
tracker.end("FINISHED", 1)
"""


def test_p6_sweeps_that_start_at_once_on_a_fresh_home_have_whole_databases(tmp_path: Path) -> None:
    """Of four processes that open a fresh database of MLflow at once, three crash."""
    home, shared = tmp_path / "home", f"sqlite:///{tmp_path / 'runs.db'}"
    uris = {"one": shared, "two": shared, "three": shared, "own": ""}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(home), name, uri],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, uri in uris.items()
    ]
    for process in started:  # all are at the same line before the first goes on
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ends = [process.communicate("go\n") for process in started]
    assert [process.returncode for process in started] == [0] * 4, ends
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
