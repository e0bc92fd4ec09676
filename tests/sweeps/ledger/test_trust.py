"""What a sweep of somebody else's names is imported only once the user has said so."""

import json
import shutil
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError
from sweeps.cli.main import main
from sweeps.ledger import trust
from sweeps.ledger.launch_settings import SweepSettings, read_settings, write_settings
from sweeps.ledger.paths import SETTINGS_FILE
from sweeps.ledger.trust import SEAL_FILE, check_trusted, key_file, seal

pytestmark = pytest.mark.filterwarnings("ignore")  # of SQLAlchemy, as MLflow uses it

MARKED = """
from pathlib import Path

from toy_task import ToyTask

Path(__file__).with_name("imported").touch()


class Marked(ToyTask):
    pass
"""


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch) -> Path:
    """A user without a key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return key_file()


@pytest.fixture
def received(tmp_path, monkeypatch) -> Path:
    """The folder of a sweep of somebody else's, whose task leaves a mark when it is imported."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "marked_task.py").write_text(MARKED)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(code))
        engine = Engine(toy_study(task="marked_task:Marked", budget={"trials": 2}), tmp_path)
        engine.teach()
        engine.search()
        engine.into_mlflow()
    write_settings(engine.folder.path, SweepSettings(id="one", task_path=str(code)))
    del sys.modules["marked_task"]
    (code / "imported").unlink()
    shutil.rmtree(tmp_path / "state")  # whoever reads it now has a key of their own, or none
    return engine.folder.path


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(words)
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "command", [["resume", "--backend", "inline"], ["export", "--trial", "0"], ["register"]]
)
def test_code_of_a_received_sweep_needs_consent_before_its_import(received, capsys, command):
    home = ("--home", str(received.parent))
    assert typed(command[0], "sweep", *command[1:], *home) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert {"marked_task", "--trust"} <= set(output.replace(";", "").split())
    assert str(received.parent / "code") in output
    assert not (received.parent / "code" / "imported").exists()
    monkey = sys.path.copy()
    try:
        typed(command[0], "sweep", *command[1:], *home, "--trust")
    finally:
        sys.path[:] = monkey
        sys.modules.pop("marked_task", None)
    assert (received.parent / "code" / "imported").exists()


@pytest.mark.parametrize(
    "command",
    ["list", "status sweep", "front sweep", "best sweep", "report sweep", "verify sweep"],
)
def test_what_only_reads_imports_nothing(received, command):
    code = typed(*command.split(), "--home", str(received.parent))
    assert code == (1 if "verify" in command else 0)  # it has no report yet, which verify tells
    assert not (received.parent / "code" / "imported").exists()


def test_a_sweep_of_ones_own_needs_no_word(tmp_path, key):
    study = toy_study()
    write_settings(tmp_path, SweepSettings(task_path="/mine"))
    seal(tmp_path, study)
    check_trusted(tmp_path, study)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in (SETTINGS_FILE, SEAL_FILE):
        shutil.copy(tmp_path / name, moved)
    check_trusted(moved, study)


@pytest.mark.parametrize(
    "what", ["path", "module", "no seal", "half a seal", "key", "no key", "empty key"]
)
def test_every_other_import_needs_consent(tmp_path, key, what):
    study = toy_study()
    write_settings(tmp_path, SweepSettings(task_path="/mine"))
    seal(tmp_path, study)
    if what == "path":
        write_settings(tmp_path, replace(read_settings(tmp_path), task_path="/theirs"))
    elif what == "module":
        study = replace(study, task="other_task:Task")
    elif what == "no seal":
        (tmp_path / SEAL_FILE).unlink()
    elif what == "half a seal":
        (tmp_path / SEAL_FILE).write_text((tmp_path / SEAL_FILE).read_text()[:32])
    elif what == "empty key":  # whoever knows that can seal with it, too
        key.write_text("")
        (tmp_path / SEAL_FILE).write_text(trust._seal(b"", trust.foreign_modules(study), tmp_path))
    elif what == "key":
        key.write_text("00" * 32)
    else:
        key.unlink()
    with pytest.raises(ConfigError, match="--trust"):
        check_trusted(tmp_path, study)


def test_our_own_code_is_everybodys(tmp_path):
    ours = replace(toy_study(), task="csi-feedback")
    seal(tmp_path, ours)
    assert not (tmp_path / SEAL_FILE).exists()
    check_trusted(tmp_path, ours)


def test_damaged_settings_are_reported(tmp_path):
    (tmp_path / SETTINGS_FILE).write_text(json.dumps({"task_path": 3}))
    with pytest.raises(Exception, match=SETTINGS_FILE):
        seal(tmp_path, toy_study())


def test_a_damaged_key_stops_no_sweep(tmp_path, key):
    key.parent.mkdir(parents=True)
    key.write_text("no key")
    seal(tmp_path, toy_study())
    with pytest.raises(ConfigError, match="--trust"):
        check_trusted(tmp_path, toy_study())
    (tmp_path / "study.yaml").write_text(toy_study().text)
    with pytest.raises(ConfigError, match=f"{key}.*remove it"):
        trust.trust(tmp_path)


def test_consent_is_needed_where_no_key_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "key_file", lambda: Path("/proc/nowhere/key"))
    seal(tmp_path, toy_study())
    with pytest.raises(ConfigError, match="--trust"):
        check_trusted(tmp_path, toy_study())
