"""Databases of strangers: artifacts elsewhere are refused, damage is one line."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command_line import kdsweep
from in_process import Engine
from toy_study import toy_study

from analysis import layout
from analysis.errors import ResultsError
from kdtasks.contract.errors import DataError
from sweeps.cli import sweeps as cli_sweeps
from sweeps.export.mlflow_models import Models
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.ledger.paths import SweepFolder
from sweeps.tracking.database_file import ADDRESSES, check_artifacts
from sweeps.tracking.writer import Tracker

pytestmark = pytest.mark.filterwarnings("ignore")  # of SQLAlchemy, as MLflow uses it

MODEL_ROW = {
    "logged_models": "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location,"
    " creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage)"
    " VALUES ('m', 1, 'm', ?, 0, 0, 1, 'active')",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "home"
    engine = Engine(toy_study(budget={"trials": 2}), home)
    engine.teach()
    engine.search()
    engine.into_mlflow()
    write_settings(engine.folder.path, SweepSettings(id="one", folder=str(engine.folder.path)))
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a sweep, as somebody receives it; no server is started for it."""
    monkeypatch.setattr(cli_sweeps, "serve_ui", lambda *_: None)
    return Path(shutil.copytree(made, tmp_path / "home"))


def tamper(home: Path, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(home / "sweep" / layout.MLFLOW_FILE)) as database, database:
        database.execute(statement, values)


COMMANDS = ("ui", "register", "verify")
PLACES = ("file:///etc", "/etc", "s3://bucket/x", "mlflow-artifacts:/x", "http://h/x", "../x", "")


@pytest.mark.parametrize(
    ("table", "column"), [("experiments", "artifact_location"), ("runs", "artifact_uri")]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_an_address_elsewhere(home, capsys, command, table, column):
    tamper(home, f"UPDATE {table} SET {column} = ? WHERE experiment_id = 1", "file:///etc")  # noqa: S608
    code, out, err = kdsweep(capsys, command, "sweep", "--home", str(home))
    assert code == 2, out
    assert err.count("\n") == 1
    assert str(home / "sweep" / layout.MLFLOW_FILE) in err
    assert "file:///etc" in err
    with pytest.raises(ResultsError, match="file:///etc"):
        Tracker.resume(SweepFolder(home / "sweep"), None, "one")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("table", ["experiments", "runs", "logged_models"])
def test_no_kind_of_address_elsewhere_passes(home, table, place):
    if table in MODEL_ROW:
        tamper(home, MODEL_ROW[table], place)
    else:
        column = dict(ADDRESSES)[table]
        tamper(home, f"UPDATE {table} SET {column} = ? WHERE experiment_id = 1", place)  # noqa: S608
    with pytest.raises(ResultsError, match=r"mlflow\.db"):
        check_artifacts(cli_sweeps.database_uri(home / "sweep", None))


@pytest.mark.parametrize("behind", ["/../../..", "/x/%2e%2e/%2e%2e", "-of-others", "/..\\.."])
def test_an_address_that_begins_as_ours_and_leads_out_is_refused(home, behind):
    root = (home / "sweep" / "artifacts").as_uri()
    tamper(home, "UPDATE runs SET artifact_uri = ?", f"{root}{behind}")
    with pytest.raises(ResultsError, match=r"mlflow\.db"):
        check_artifacts(cli_sweeps.database_uri(home / "sweep", None))


def test_a_link_among_the_artifacts_that_leads_out_is_refused(home, capsys):
    run = next((home / "sweep" / "artifacts").iterdir()) / "artifacts"
    (run / "leads-out").symlink_to("/etc")
    code, _, err = kdsweep(capsys, "ui", "sweep", "--home", str(home))
    assert (code, err.count("\n")) == (2, 1)
    assert "leads-out" in err
    with pytest.raises(DataError, match="leads-out"):  # of what writes
        Models.open(SweepFolder(home / "sweep"), None)


def test_a_moved_home_and_mlflows_own_experiment_without_runs_are_served(home, capsys):
    for _ in range(2):
        assert kdsweep(capsys, "ui", "sweep", "--home", str(home))[0] == 0
    tamper(home, "UPDATE runs SET experiment_id = 0")
    assert kdsweep(capsys, "ui", "sweep", "--home", str(home))[0] == 2
