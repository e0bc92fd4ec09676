"""Code of the user's own is found again: by a sweep that goes on, by machines of a cluster."""

import importlib
import sys
import sysconfig
from pathlib import Path

import pytest
from toy_study import toy_study
from toy_task import ToyTask

from kdtasks.errors import ConfigError
from sweeps.own_code import code_path, code_to_send, own_modules

HERE = str(Path(__file__).resolve().parent)
assert ToyTask.__module__ == "toy_task"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module, a package and something that is neither."""
    (tmp_path / "own_pack").mkdir()
    for name in ("own_losses.py", "own_helper.py", "notes.txt", "own_pack/__init__.py"):
        (tmp_path / name).touch()
    (tmp_path / "own_pack" / "inner.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_losses", "own_pack.inner"):
        importlib.import_module(name)
    yield tmp_path
    for name in ("own_losses", "own_helper", "own_pack", "own_pack.inner"):
        sys.modules.pop(name, None)


def with_task(task, **changes):
    return toy_study(task=task, **changes)


def test_a_study_of_the_project_has_no_code_of_its_own():
    study = with_task("csi-feedback", parameters={"scenario": "site-umi-los"})
    assert own_modules(study) == []
    assert code_path(study) == ""
    assert code_to_send(study, "") == []


def test_a_task_is_found_again_and_sent_with_what_it_may_import():
    study = toy_study()
    assert own_modules(study) == ["toy_task"]
    assert code_path(study) == HERE
    assert Path(HERE) / "toy_task.py" in code_to_send(study, HERE)


def test_what_is_named_anywhere_in_a_study_is_found(folder):
    space = {"method": {"type": "choice", "values": ["vanilla", "own_losses:cosine"]}}
    study = with_task(
        "csi-feedback",
        parameters={"encoder": "own_pack.inner:Tiny", "data_path": "C:disk", "epochs": 2},
        space=space,
    )
    assert own_modules(study) == ["own_pack.inner", "own_losses"]
    assert code_path(study) == str(folder)
    sent = code_to_send(study, str(folder))
    assert sent == [folder / "own_pack", folder / "own_helper.py", folder / "own_losses.py"]
    alone = with_task("csi-feedback", parameters={"encoder": "own_pack.inner:Tiny"})
    assert code_to_send(alone, str(folder)) == [folder / "own_pack"]


def test_code_in_two_folders_is_refused(folder):
    study = toy_study(parameters={"method2": "own_losses:cosine"})
    with pytest.raises(ConfigError, match=r"own_losses in .*; use one"):
        code_path(study)


def test_code_that_was_installed_is_not_sent(monkeypatch):
    monkeypatch.setattr(
        sys.modules["toy_task"], "__file__", f"{sysconfig.get_path('purelib')}/t.py"
    )
    assert code_path(toy_study()) == ""
