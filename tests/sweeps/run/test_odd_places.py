"""Homes, names and outputs with characters that addresses, shells and encodings take for others."""

import errno
import io
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_metric_name, _validate_param
from sqlalchemy import make_url
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.registry import load_task
from kdtasks.contract.task import MetricInfo
from search_spaces.errors import StudyError
from sweeps.cli import main as cli
from sweeps.cli.guard import in_words
from sweeps.cli.output import command_line, line, program
from sweeps.common.returned_values import LONGEST_VALUE, wrong_name, wrong_params
from sweeps.ledger.launch_settings import settled_uri
from sweeps.ledger.paths import check_new
from sweeps.ledger.sqlite_file import sqlite_path, sqlite_uri
from sweeps.plan.evidence import Evidence
from sweeps.plan.parameter_laws import CLASS_LAWS
from sweeps.plan.preflight import check_study

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


@given(NAMES)
def test_sqlalchemy_and_we_read_the_path_that_we_wrote(name: str) -> None:
    path = Path("/home") / name / "mlflow.db"
    uri = sqlite_uri(path)
    assert make_url(uri).database == str(path)
    assert dict(make_url(uri).query) == {}
    assert sqlite_path(uri) == path
    assert settled_uri(f"{uri}?timeout=3") == f"{sqlite_uri(path.resolve())}?timeout=3"


def test_other_addresses_are_no_files() -> None:
    for uri in ("http://host/x", "sqlite://", "sqlite:///:memory:", "postgresql://host/db"):
        assert sqlite_path(uri) is None


@given(NAMES, NAMES)
def test_printed_commands_are_read_back_by_a_shell(home: str, name: str) -> None:
    words = shlex.split(command_line("status {} --watch", name, Path("/homes") / home))
    called = shlex.split(program())
    assert words[: len(called)] == called
    words = words[len(called) :]
    assert words[words.index("--home") + 1] == str(Path("/homes") / home)
    assert name in words
    if name.startswith("-"):
        assert words[-2:] == ["--", name]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_an_output_of_any_encoding_ends_no_command(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    cli.any_encoding()
    line("−5.25 dB ± 10² ü 中")
    out.flush()
    shown = out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    if encoding == "utf-8":
        assert shown == "−5.25 dB ± 10² ü 中\n"
    else:
        assert shown.startswith("-5.25 dB ")
        assert "102" not in shown
        assert shown.endswith("?\n")


def test_what_steers_a_terminal_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    line("a\x1b[31mb\u202ec\x07\ttab")
    assert capsys.readouterr().out == "ab c \ttab\n"


@pytest.mark.parametrize("name", ["", "a b", "A", "-x", "a_b", "\x1b[31m", "a\nb", "x/y", "cache"])
def test_a_new_sweep_is_named_by_the_rule_of_studies(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--name.*cannot name a sweep; use small letters"):
        check_new(tmp_path, name)
    with pytest.raises(StudyError):
        toy_study(name=name if name != "cache" else "C")


def test_homes_that_cannot_be_are_refused_before_anything(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="file is a file; choose another --home"):
            check_new(home, "one")
    with pytest.raises(ConfigError, match=r"--home.*UTF-8.*rename"):
        check_new(tmp_path / "a\udcff", "one")
    check_new(tmp_path / "not" / "yet", "one")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@given(st.text(st.sampled_from("ab1_-. :/@%é²\n中"), max_size=8) | st.text(max_size=300))
def test_names_are_refused_that_mlflow_refuses(name: str) -> None:
    try:
        _validate_metric_name(name)
        _validate_param(name, "1")
    except MlflowException:
        assert wrong_name(name)
    else:  # a line break at the end is taken there, and nobody means it
        assert not wrong_name(name) or name.endswith("\n")


def test_a_metric_that_mlflow_refuses_is_found_before_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = load_task("toy_task:ToyTask")
    info = MetricInfo(unit="", direction="minimize", description="x")
    monkeypatch.setattr(type(task), "metrics", {**task.metrics, "val_top@1": info})
    with pytest.raises(ConfigError, match=r"metrics: .*'val_top@1'.*rename it"):
        check_study(toy_study())
    evidence = Evidence("toy_task:ToyTask", {}, Path())
    [broken] = filter(None, (law.broken(evidence) for law in CLASS_LAWS))
    assert "val_top@1" in broken
    assert "6000" in wrong_params({"x": "a" * (LONGEST_VALUE + 1)})


def test_a_file_without_permission_is_named_with_the_fix():
    called = in_words(PermissionError(errno.EACCES, "Permission denied", "home/a/sweep.json"))
    assert called.startswith("home/a/sweep.json: Permission denied")
    assert "chmod" in called
    assert in_words(OSError(errno.ENOSPC, "No space left", "a.db")) == "a.db: No space left"
    assert in_words(OSError("no address")) == "no address"
