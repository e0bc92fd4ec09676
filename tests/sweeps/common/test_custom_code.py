"""Code of the user's own is found again: by a sweep that goes on, by machines of a cluster."""

import importlib
import sys
import sysconfig
import types
from pathlib import Path

import pytest
from toy_study import toy_study
from toy_task import ToyTask
from toy_variants import local_task

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.registry import load_task
from sweeps.common.capacity import ResourceRequest
from sweeps.common.custom_code import check_importable, code_path, code_to_send, own_modules
from sweeps.progress.events import Display
from sweeps.run.runner import run_study

HERE = str(Path(__file__).resolve().parents[1])
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


@pytest.fixture
def loaded(tmp_path):
    """Load a toy task as a module that new processes may or may not find."""
    made = []

    def load(name, file=None, **content):
        module = types.ModuleType(name)
        if file is not None:
            module.__file__ = str(tmp_path / file)
            Path(module.__file__).parent.mkdir(exist_ok=True)
            Path(module.__file__).write_text("from toy_task import ToyTask as Task\n")
        vars(module).update({"Task": ToyTask, **content})
        sys.modules[name] = module
        made.append(name)
        return toy_study(task=f"{name}:Task")

    yield load
    for name in made:
        del sys.modules[name]


def test_code_that_new_processes_find_is_accepted(tmp_path, monkeypatch, loaded, folder):
    check_importable(toy_study())
    check_importable(with_task("csi-feedback"))
    monkeypatch.syspath_prepend(tmp_path)
    check_importable(loaded("task_on_path", "task_on_path.py"))
    (tmp_path / "factory.py").write_text("from toy_variants import local_task\nTask = local_task()")
    factory = importlib.import_module("factory")
    check_importable(loaded("factory", None, __file__=factory.__file__, Task=factory.Task))


@pytest.mark.parametrize(
    ("task", "file", "why"),
    [
        ("typed_in:Task", None, "in a module without a file"),
        ("moved:Task", "tasks_v2.py", "not on Python's path"),
        ("hidden:Task", "elsewhere/hidden.py", "not on Python's path"),
        ("local:Local", "local.py", "is not in"),
    ],
)
def test_code_that_only_this_process_has_is_refused_with_the_fix(
    task, file, why, tmp_path, monkeypatch, loaded
):
    monkeypatch.syspath_prepend(tmp_path)
    loaded(task.partition(":")[0], file, Local=local_task())
    with pytest.raises(ConfigError) as refused:
        check_importable(toy_study(task=task))
    message = str(refused.value)
    assert task in message
    assert why in message
    assert "my_task.py" in message


def test_the_program_itself_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "Task", ToyTask, raising=False)
    with pytest.raises(ConfigError, match=r"__main__:Task is in the program.*my_task:Task"):
        run_study(
            toy_study(task="__main__:Task"),
            name="toy",
            home=tmp_path / "home",
            tracking_uri=None,
            request=ResourceRequest(),
            display=Display(),
        )
    assert not (tmp_path / "home").exists()


def test_what_the_program_does_not_have_is_refused_with_the_fix():
    with pytest.raises(ConfigError, match=r"__main__:Missing.*a file of its own"):
        load_task("__main__:Missing")
