"""What `pip install` of the wheel brings: all that the program reads, and commands that work."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("kdsweep", "kdtasks", "search_spaces", "sweeps", "analysis")
UNREAD = shutil.ignore_patterns("__pycache__")
TINY = ("effort=as-published", "parameters.teacher_epochs=1", "seeds.confirm=[101]",
        *(f"parameters.num_{split}=100" for split in ("train", "val", "test")))  # fmt: skip
SHORT = ("--set", "epochs=1", "--set", "teacher_epochs=1")


def fallback() -> str:
    """The version of a tree without git."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return project["tool"]["setuptools_scm"]["fallback_version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a tree without git; a build in the checkout would leave its files there."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=UNREAD)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, tree]
    subprocess.run(command, check=True, capture_output=True)
    [built] = out.iterdir()
    return built


def test_the_first_release_of_the_changelog_is_the_version_without_git():
    headings = re.findall(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert headings[0] == fallback()


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    there = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == there
    assert {Path(name).suffix for name in names} >= {".yaml", ".json", ".html", ".css", ".typed"}
    assert wheel.name.split("-")[1] == fallback()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel; libraries are those of this one, but not the checkout."""
    place = tmp_path_factory.mktemp("env")
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    [site] = place.glob("lib/python*/site-packages")
    # a folder named in a .pth file is searched, .pth files in it are not read
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_installed_wheel_works_without_a_checkout(installed, tmp_path):
    def typed(*words: str) -> str:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    program, python = str(installed / "kdsweep"), str(installed / "python")
    where = typed(python, "-c", "import kdsweep, sweeps; print(kdsweep.__file__, sweeps.__file__)")
    assert all(path.startswith(str(installed.parent)) for path in where.split())
    assert "csi-feedback" in typed(program, "studies")
    assert typed(program, "--version").split() == ["kdsweep", fallback()]
    assert "csi-feedback" in typed(python, "-m", "kdsweep", "studies", "show", "csi-feedback")
    settings = [word for one in TINY for word in ("--set", one)]
    typed(program, "run", "csi-feedback", "--trials", "3", "--backend", "inline", *settings)
    assert (tmp_path / "runs/csi-feedback/report/report.html").is_file()
    page = (ROOT / "docs/two-networks.md").read_text("utf-8")
    for text in re.findall(r"^```\w+\n(# [\w-]+\.(?:py|yaml)\n.*?)^```$", page, re.M | re.S):
        (tmp_path / text.split("\n", 1)[0][2:]).write_text(text)
    assert "modulation" in typed(program, "check", "modulation:Modulation", *SHORT)
