"""Which source a module runs, found without running it."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from kdtasks.contract import source_code
from kdtasks.contract.source_code import changed, joined, source_digest, sources


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write modules to a folder on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/', 1).replace('/init', '/__init__')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()

    return write


WAYS = {
    "import": "import srca_helper",
    "import of a part": "from srca_helper import net",
    "renamed": "import srca_helper as h",
    "in a function": "def f():\n    import srca_helper",
    "in a branch": "if False:\n    import srca_helper",
    "by name": "import importlib\nh = importlib.import_module('srca_helper')",
    "by name, imported itself": "from importlib import import_module\nimport_module('srca_helper')",
    "builtin": "h = __import__('srca_helper')",
    "two imports away": "import srca_between",
    "all": "from srca_helper import *",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_imported_counts(files, way: str) -> None:
    files(srca_task=WAYS[way], srca_between="import srca_helper", srca_helper="net = 1")
    before = source_digest("srca_task")
    assert "srca_helper" in sources("srca_task")
    assert "srca_helper" not in sys.modules
    files(srca_helper="net = 22")
    assert source_digest("srca_task") != before


INSIDE = {
    "absolute": "from srcb_package.nets import net",
    "relative": "from .nets import net",
    "relative module": "from . import nets",
    "from above": "from ..srcb_package.nets import net",
    "by relative name": "import importlib\nimportlib.import_module('.nets', __package__)",
}


@pytest.mark.parametrize("way", INSIDE)
def test_a_task_in_a_package(files, way: str) -> None:
    package = {"srcb_package__init": "from .tools import t", "srcb_package__tools": "t = 1"}
    files(**package, srcb_package__task=INSIDE[way], srcb_package__nets="net = 1")
    found = sources("srcb_package.task")
    assert set(found) == {
        "srcb_package",
        "srcb_package.task",
        "srcb_package.tools",
        "srcb_package.nets",
    }
    before = source_digest("srcb_package.task")
    files(srcb_package__nets="net = 22")
    assert source_digest("srcb_package.task") != before


def test_a_folder_without_init_is_a_package_too(files) -> None:
    files(srcc_space__task="from srcc_space import nets", srcc_space__nets="net = 1")
    assert set(sources("srcc_space.task")) == {"srcc_space.task", "srcc_space.nets"}


def test_modules_may_import_each_other(files) -> None:
    files(srcd_one="import srcd_two", srcd_two="import srcd_one")
    assert set(sources("srcd_one")) == {"srcd_one", "srcd_two"}


def test_what_is_installed_does_not_count_but_ours_does(files) -> None:
    files(
        srce_task="import torch, json, numpy.linalg\n"
        "from kdtasks.learning.training import fit\nimport nix"
    )
    found = sources("srce_task")
    assert {name.partition(".")[0] for name in found} == {"srce_task", "kdtasks"}
    assert "kdtasks.learning.training" in found
    assert "iniconfig._parse" in sources("iniconfig")  # by its name, as a package with a task


TEXT = 'X = {**a, "b": 1}\n\n\ndef f(x: int = 2) -> str:\n    return f"{x} and more"\n'


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n" + TEXT,
        '"""What this is."""\n' + TEXT,
        TEXT.replace("    return", '    """Say it."""\n    return'),
        TEXT.replace(" = ", "  =  ").replace("\n\n\n", "\n\n"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace('"b"', "'b'"),
    ],
)
def test_words_for_readers_change_nothing(files, same: str) -> None:
    files(srcf_task=TEXT)
    before = source_digest("srcf_task")
    files(srcf_task=same)
    assert source_digest("srcf_task") == before


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("= 2", "= 3"),
        TEXT.replace("= 2", "= 2.0"),
        TEXT.replace("= 2", "= True"),
        TEXT.replace('{**a, "b": 1}', '{"b": a, **1}'),
        TEXT.replace("and more", "and  more"),
        TEXT + "\nY = 1\n",
        TEXT.replace("X", "Z"),
        "",
        "def f(:\n",
    ],
)
def test_whatever_means_something_else_does(files, other: str) -> None:
    files(srcg_task=TEXT)
    before = source_digest("srcg_task")
    files(srcg_task=other)
    assert source_digest("srcg_task") != before


def test_what_changed_is_named() -> None:
    assert changed({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"}) == [
        "b",
        "c",
        "d",
    ]


def test_a_module_that_is_not_there_has_no_source() -> None:
    assert sources("no_such_module_at_all", "") == {}


def test_states_of_our_code_are_joined_to_one_of_them(monkeypatch) -> None:
    states = {"kdtasks.old": "1"}, {"kdtasks.new": "2", "kdtasks.more": "3"}
    monkeypatch.setattr(source_code, "_states", lambda: states)
    before, after = {"mine": "m", "kdtasks.old": "1"}, {"mine": "m", "kdtasks.new": "2"}
    assert changed(before, after) == []
    assert joined(before, after) == after
    assert joined(after, {"kdtasks.more": "3"}) == {**after, "kdtasks.more": "3"}
    assert changed(before, {**after, "mine": "other"}) == ["mine"]
    assert joined(before, {"kdtasks.new": "other"}) == {**before, "kdtasks.new": "other"}


def test_the_states_that_are_kept_are_distinct() -> None:
    states = json.loads(source_code.STATES.read_text())
    assert all(name and len(modules) > 100 for name, modules in states.items())
    assert len({json.dumps(modules) for modules in states.values()}) == len(states)


def test_the_public_face_brings_in_what_trains_and_nothing_that_sweeps(files) -> None:
    files(srcf_task="import kdsweep as kd")
    found = {name.partition(".")[0] for name in sources("srcf_task")}
    assert found == {"srcf_task", "kdtasks"}
    assert "kdtasks.distillation.training" in sources("srcf_task")
