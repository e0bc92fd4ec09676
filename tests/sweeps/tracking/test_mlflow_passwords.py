"""A password in the address of MLflow is refused; one that an older sweep kept is not shown."""

import json
from pathlib import Path

import pytest
from toy_study import ManualClock, toy_study

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.cli.main import main
from sweeps.cli.sweeps import known_uri, prepare_ui
from sweeps.common.records import FailureKind
from sweeps.ledger.launch_settings import settled_uri
from sweeps.ledger.paths import SETTINGS_FILE, SweepFolder, check_new, create
from sweeps.progress.events import Display, JobFinished, TrialFailed
from sweeps.progress.log import EventLog
from sweeps.tracking.client import read_runs
from sweeps.tracking.writer import Tracker

SERVER = "http://user:hunter2@127.0.0.1:1"
DATABASE = "postgresql://user:hunter2@host/mlflow"


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    """That of a sweep which an older version began."""
    folder = check_new(tmp_path, "old")
    settings = {"id": "a", "tracking_uri": SERVER, "seats": {}, "task_path": "", "storage": None}
    create(folder, toy_study().text, {SETTINGS_FILE: json.dumps(settings)})
    return folder


@pytest.mark.parametrize(
    ("uri", "instead"), [(SERVER, "MLFLOW_TRACKING_PASSWORD"), (DATABASE, "PGPASSWORD")]
)
def test_an_address_with_a_password_is_refused_and_the_other_way_named(
    folder: SweepFolder, uri: str, instead: str
) -> None:
    for settle in (settled_uri, lambda given: known_uri(folder.path, given)):
        with pytest.raises(ConfigError, match=instead) as refused:
            settle(uri)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "https://mlflow.example.com",
        "postgresql://user@host/mlflow",
        "mysql+pymysql://user@host/mlflow?read_default_file=/etc/my.cnf",
        "sqlite:////data/tokens/lr=3/runs.db",
    ],
)
def test_addresses_without_a_password_are_not_refused(uri: str) -> None:
    assert settled_uri(uri) == uri


@pytest.mark.parametrize("command", [["run", "csi-feedback"], ["verify", "old"], ["resume", "old"]])
def test_commands_refuse_it_before_anything_is_begun(
    folder: SweepFolder, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    home = folder.path.parent
    there = set(home.iterdir())
    with pytest.raises(SystemExit) as ended:
        main([*command, "--home", str(home), "--tracking-uri", SERVER])
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert "--tracking-uri http://...: the address holds a password" in output.err
    assert "hunter2" not in output.err + output.out
    assert set(home.iterdir()) == there


def test_errors_of_mlflow_are_shown_without_the_password(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="MLflow cannot be written to") as start:
        Tracker.start(folder, SERVER, toy_study(), started_ms=0)
    with pytest.raises(UserError, match="MLflow cannot be written to") as resume:
        Tracker.resume(folder, SERVER, "a")
    with pytest.raises(UserError, match="MLflow cannot be read") as read:
        read_runs(folder, SERVER)
    with pytest.raises(UserError, match="a server of their own") as shown:
        prepare_ui(folder.path)
    assert not any("hunter2" in str(error.value) for error in (start, resume, read, shown))


def test_the_log_keeps_no_password(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log.jsonl", toy_study(), ManualClock(), Display())
    with log.kept():
        log.opened("toy", "here", {})
        log.note(f"MLflow: API request to {SERVER}/api failed")
        log.handle(JobFinished("teacher", "ab", f"OSError: {DATABASE} does not answer"))
        log.handle(TrialFailed(0, FailureKind.RAISED, f"OSError: {DATABASE} does not answer"))
        log.closed("failed", f"no {SERVER}")
    written = (tmp_path / "log.jsonl").read_text()
    assert written.count("://...") == 4
    assert "hunter2" not in written
