"""Files with the names of libraries, which raise an error where one is taken for the library."""

import os
from pathlib import Path

TRAP = """
import os, sys
with open(os.environ["TRAPPED"], "a") as file:
    print(__file__, sys.argv, file=file)
raise RuntimeError("taken for a library")
"""
LIBRARIES = ("profile", "numpy", "random", "signal", "torch", "ray", "psutil", "sitecustomize")
PACKAGES = ("analysis", "kdtasks", "search_spaces")


def write_traps(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Write a folder that is full of traps, and another on PYTHONPATH.

    Returns:
        The folder, and the environment of a process in it. The file ``trapped`` beside the folder
        lists the traps that have been imported.
    """
    here, path = tmp_path / "here", tmp_path / "path"
    for folder in (here, path):
        for name in PACKAGES:
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text(TRAP)
        (folder / "sweeps.py").write_text(TRAP)
    for name in LIBRARIES:
        (here / f"{name}.py").write_text(TRAP)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return here, env | {"TRAPPED": str(tmp_path / "trapped"), "PYTHONPATH": str(path)}
