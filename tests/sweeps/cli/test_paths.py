"""A home folder is resolved in every path, which shells do not do behind an equals sign."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import typer

from sweeps.cli.main import main
from sweeps.cli.options import known_sweeps
from sweeps.ledger.launch_settings import settled_uri


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit):
        main(arguments)
    shown = capsys.readouterr()
    return shown.out + shown.err


@pytest.mark.parametrize("way", ["option", "environment"])
def test_the_home_of_sweeps(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    way: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path)
    option = ["--home=~/x"] if way == "option" else []
    if way == "environment":
        monkeypatch.setenv("KDSWEEP_HOME", "~/x")
    assert f"{tmp_path / 'me' / 'x'}" in output_of(capsys, "front", "nothing", *option)
    assert not (tmp_path / "~").exists()


def test_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path)
    for arguments in (["run", "csi-feedback", "--data=~/ch.npy"], ["data", "inspect", "~/ch.npy"]):
        shown = output_of(capsys, *arguments)
        assert str(tmp_path / "me" / "ch.npy") in shown
        assert "~" not in shown


def test_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settled_uri("sqlite:///~/runs.db") == f"sqlite:///{tmp_path / 'runs.db'}"


def test_names_that_the_shell_completes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x" / "mine").mkdir(parents=True)
    (tmp_path / "x" / "mine" / "study.yaml").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    context = cast("typer.Context", SimpleNamespace(params={"home": "~/x"}))
    assert known_sweeps(context) == ["mine"]
