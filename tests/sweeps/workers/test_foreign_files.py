"""The command in a folder, and under a PYTHONPATH, whose files have the names of libraries.

A sweep there is run in tests/sweeps/cli/test_sweep.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from traps import write_traps

from kdtasks.contract.shadowing import is_library
from sweeps import OWN_CODE
from sweeps.common.environment import worker_paths

HERE = Path(__file__).resolve().parents[1]
COMMAND = str(Path(sys.executable).with_name("kdsweep"))


@pytest.fixture
def trapped(tmp_path):
    """A folder that is full of traps, and the environment with another on PYTHONPATH."""
    yield write_traps(tmp_path)
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
