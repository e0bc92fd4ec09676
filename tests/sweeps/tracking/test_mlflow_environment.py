"""Variables of MLflow in the environment have the effect that is told, and no other."""

from pathlib import Path

import pytest

from sweeps.cli.run import RunOptions, _with_environment
from sweeps.ledger.paths import SweepFolder
from sweeps.run import doctor
from sweeps.tracking.client import connect
from sweeps.tracking.server_check import TRACKING, UNUSED

SERVER = "http://127.0.0.1:9"


def options(home: Path, uri: str | None = None) -> RunOptions:
    return RunOptions(name=None, home=home, tracking_uri=uri, storage=None)


def test_a_new_sweep_follows_the_environment_and_notes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _with_environment(options(tmp_path), "one") == options(tmp_path)
    monkeypatch.setenv(TRACKING, SERVER)
    assert _with_environment(options(tmp_path), "one").tracking_uri == SERVER
    assert capsys.readouterr().out == f"runs go to MLflow at {SERVER} ({TRACKING})\n"
    assert _with_environment(options(tmp_path, "sqlite:///x.db"), "one").tracking_uri != SERVER
    assert capsys.readouterr().out == ""


def test_a_sweep_that_is_there_stays_where_its_runs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").mkdir()
    monkeypatch.setenv(TRACKING, SERVER)
    assert _with_environment(options(tmp_path), "one").tracking_uri is None
    assert f"{TRACKING} is set and has no effect" in capsys.readouterr().out


@pytest.mark.parametrize("name", UNUSED)
def test_a_variable_without_effect_is_named(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, SERVER)
    assert _with_environment(options(tmp_path), "one") == options(tmp_path)
    assert capsys.readouterr().out.startswith(f"{name} is set and has no effect: ")
    [found] = [one for one in doctor._environment({name: SERVER}) if name in one.found]
    assert found.state == "fair"


def test_models_are_registered_where_the_runs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9/other")
    client = connect(SweepFolder(tmp_path / "one"), SERVER)
    assert client._registry_uri == SERVER
