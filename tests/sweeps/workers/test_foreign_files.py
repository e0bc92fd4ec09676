"""A sweep called from a folder, and under a PYTHONPATH, whose files have the names of libraries."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_study import toy_study

from kdtasks.contract.shadowing import is_library
from sweeps import OWN_CODE
from sweeps.common.environment import worker_paths

HERE = Path(__file__).resolve().parents[1]
COMMAND = str(Path(sys.executable).with_name("kdsweep"))
TRAP = """
import os, sys
with open(os.environ["TRAPPED"], "a") as file:
    print(__file__, sys.argv, file=file)
raise RuntimeError("taken for a library")
"""
LIBRARIES = ("profile", "numpy", "random", "signal", "torch", "ray", "psutil", "sitecustomize")
OURS = ("analysis", "kdtasks", "search_spaces", "sweeps")
TASK = """
import os
from types import ModuleType
import random  # Python's, not the file beside this one
import beside
from toy_task import ToyTask
import sweeps, kdtasks, analysis

class Mine(ToyTask):
    def train_teacher(self, *args):
        beside.note("pool worker")
        return (yield from super().train_teacher(*args))
    def train_student(self, *args):
        beside.note("trial")
        return (yield from super().train_student(*args))
"""
BESIDE = """
import os, sys
def note(who):
    me = os.environ["TRAPPED"] + ".who"
    with open(me, "a") as file:
        title = " ".join(open("/proc/self/cmdline").read().split("\\0"))
        file.write(f"{who} {title}\\n")
"""


@pytest.fixture
def trapped(tmp_path):
    """A folder that is full of traps, another on PYTHONPATH, and the environment with it."""
    here, path = tmp_path / "here", tmp_path / "path"
    for folder in (here, path):
        folder.mkdir()
        for name in OURS[:3]:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(TRAP)
        (folder / f"{OURS[3]}.py").write_text(TRAP)
    for name in LIBRARIES:
        (here / f"{name}.py").write_text(TRAP)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"TRAPPED": str(tmp_path / "trapped"), "PYTHONPATH": str(path)}
    yield here, env
    assert not (tmp_path / "trapped").exists(), (tmp_path / "trapped").read_text()


def call(here, env, *arguments):
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=here,
        env=env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize("path", ["{path}", "{here}:{path}", ":{path}", ".:{path}"])
def test_the_command_is_ours(trapped, path):
    here, env = trapped
    for name in ("signal", "random", "sitecustomize"):  # a path with these ends Python itself
        (here / f"{name}.py").unlink()
    env["PYTHONPATH"] = path.format(here=here, path=env["PYTHONPATH"])
    done = call(here, env, "studies")
    assert (done.returncode, done.stderr) == (0, "")
    assert "csi-feedback" in done.stdout


def test_another_package_of_our_name_that_was_imported_first_is_named(trapped):
    here, env = trapped
    code = "import sys; sys.path.insert(0, sys.argv[1]); import analysis; import sweeps"
    (here / "analysis" / "__init__.py").write_text("")
    (here / "sweeps.py").unlink()
    env["PYTHONPATH"] = str(HERE.parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(here)], env=env, capture_output=True, text=True
    )
    assert f"package analysis is {here / 'analysis'}" in done.stderr


def test_folders_of_the_user_come_last_on_the_path_of_workers(tmp_path, monkeypatch):
    here, given, beside = (tmp_path / name for name in ("here", "given", "beside:study"))
    for folder in (here, given, beside):
        folder.mkdir()
    monkeypatch.chdir(here)
    for first in ("", ".", str(here)):
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(given), first]))
        libraries = [entry for entry in sys.path if is_library(Path(entry))]
        monkeypatch.setattr(sys, "path", [str(given), first, *libraries, str(beside), "/not-there"])
        found = worker_paths([Path("/ours")])
        assert found["PYTHONPATH"] == os.pathsep.join(["/ours", str(given)])
        assert json.loads(found[OWN_CODE]) == [str(here), str(beside)]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_process_of_a_sweep_takes_a_file_for_a_library(trapped):
    """Neither driver, pool worker, trainable, node actor, nor the process that grows forests."""
    here, env = trapped
    shutil.copy(HERE / "toy_task.py", here)
    (here / "mine.py").write_text(TASK)
    (here / "beside.py").write_text(BESIDE)
    study = toy_study(task="mine:Mine", budget={"trials": 4})
    (here / "toy.yaml").write_text(study.text)
    done = call(here, env, "run", "toy.yaml", "--slots", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 trials finished, 0 failed" in done.stdout
    assert f"not your {here / 'random.py'}" in done.stdout  # said, for one might mean it
    stream_name = Path(f"{env['TRAPPED']}.who").read_text().splitlines()
    assert {line.partition(" ray::")[0] for line in stream_name} == {"pool worker", "trial"}
    assert any("NodeHost" in line for line in stream_name)
