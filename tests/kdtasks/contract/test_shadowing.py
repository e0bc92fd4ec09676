"""Files of one's own that are called like a library are not taken for it, and not in silence."""

import sys

import pytest

from kdtasks.contract.error_text import named
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import load_named
from kdtasks.contract.shadowing import hidden, hidden_from

LIBRARIES = ("profile", "types", "random", "time", "sys", "torch", "numpy", "kdtasks", "analysis")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the user's own, behind all others on Python's path as commands put it there."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("kind", ["task", "encoder", "method", "scenario"])
@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("package", [False, True])
def test_a_named_module_that_is_called_like_a_library_is_refused(folder, kind, name, package):
    own = folder / name / "__init__.py" if package else folder / f"{name}.py"
    own.parent.mkdir(exist_ok=True)
    own.write_text("class Mine: ...\n")
    with pytest.raises(ConfigError, match=rf"{kind} '{name}:Mine': {name} is .* not your {own}"):
        load_named(kind, f"{name}:Mine")
    assert name not in named


@pytest.mark.parametrize("name", ["utils", "my_task", "helpers"])
def test_any_other_name_is_imported(folder, name):
    (folder / f"{name}.py").write_text("class Mine: ...\n")
    assert load_named("task", f"{name}:Mine").__module__ == name
    assert list(hidden_from(name)) == []


def test_helpers_that_are_hidden_are_named_where_an_import_fails(folder):
    (folder / "types.py").write_text("class Wanted: ...\n")
    (folder / "my_helper.py").write_text("from types import Wanted\n")
    (folder / "my_failing.py").write_text("import my_helper\nclass Mine: ...\n")
    (folder / "my_direct.py").write_text("def f():\n    from types import Wanted\nf()\n")
    with pytest.raises(ConfigError, match=r"cannot import name 'Wanted'.*; .*types, which is"):
        load_named("task", "my_direct:Mine")
    with pytest.raises(ConfigError, match=r"cannot import name 'Wanted'"):
        load_named("task", "my_failing:Mine")


def test_helpers_that_are_hidden_are_named_where_the_import_succeeds(folder):
    (folder / "random.py").write_text("SEED = 1\n")
    (folder / "my_part.py").write_text("import random as r\n")
    (folder / "my_whole.py").write_text("import my_part\nimport os, json\nclass Mine: ...\n")
    load_named("task", "my_whole:Mine")
    (words,) = hidden_from("my_whole")
    assert str(folder / "my_part.py") in words
    assert str(folder / "random.py") in words
    assert "random.py and not your" in words
    assert list(hidden_from("json")) == []


def test_of_two_folders_neither_hides_the_other_in_silence(folder, monkeypatch, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setattr(sys, "path", [*sys.path, str(other)])
    for place in (folder, other):
        (place / "my_same.py").write_text("class Mine: ...\n")
    assert hidden("my_same") is None  # as good as one file
    (other / "my_same.py").write_text("class Mine: x = 1\n")
    assert hidden("my_same") == (other / "my_same.py", str(folder / "my_same.py"))
    with pytest.raises(ConfigError, match=r"my_same is .* not your"):
        load_named("task", "my_same:Mine")


def test_a_file_that_nobody_names_is_in_nobodys_way(folder):
    for name in LIBRARIES:
        (folder / f"{name}.py").write_text("raise SystemExit('taken for a library')\n")
    (folder / "my_calm.py").write_text("import os\nclass Mine: ...\n")
    load_named("task", "my_calm:Mine")
    assert list(hidden_from("my_calm")) == []
