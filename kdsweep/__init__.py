"""Sweeps of knowledge distillation: what a script or notebook imports, and the command ``kdsweep``.

``import kdsweep as kd`` gives a task of two networks and the functions that sweep it; each name is
imported when it is first used, for torch and Ray take seconds.

A folder on PYTHONPATH, or the current one, may have a package ``analysis`` or a module ``sweeps``
of its own, and files that are called as parts of Python are. So ``sweeps`` is taken from beside
this folder, and sees to the other packages itself; the command puts the current folder and that of
the script behind all others before anything of ours is imported.
"""

import os.path
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdsweep.api import check, sweep
    from kdsweep.results import Student, Sweep, open_sweep
    from kdtasks.contract.settings import When, param
    from kdtasks.distillation.splits import Splits, metric
    from kdtasks.distillation.task import DistillationTask
    from search_spaces.domains import Choice, Float, Int
    from search_spaces.objectives import Constraint, Objective

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - pathlib may be anybody's yet

__all__ = [
    "Choice",
    "Constraint",
    "DistillationTask",
    "Float",
    "Int",
    "Objective",
    "Splits",
    "Student",
    "Sweep",
    "When",
    "check",
    "metric",
    "open_sweep",
    "param",
    "sweep",
]

_HOMES = {
    "kdsweep.api": ("check", "sweep"),
    "kdsweep.results": ("Student", "Sweep", "open_sweep"),
    "kdtasks.contract.settings": ("When", "param"),
    "kdtasks.distillation.splits": ("Splits", "metric"),
    "kdtasks.distillation.task": ("DistillationTask",),
    "search_spaces.domains": ("Choice", "Float", "Int"),
    "search_spaces.objectives": ("Constraint", "Objective"),
}


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'kdsweep' has no attribute {name!r}")
    _load_ours()
    return getattr(import_module(home), name)


def _put_last(*folders: str) -> None:
    """Put folders behind all others on Python's path, as far as they are on it."""
    behind = [entry for entry in sys.path if os.path.realpath(entry) in folders]
    sys.path[:] = [entry for entry in sys.path if entry not in behind] + behind


def _load_ours() -> None:
    """Import ``sweeps`` from beside this folder; it sees to the other packages itself."""
    spec = PathFinder.find_spec("sweeps", [HERE])
    if "sweeps" not in sys.modules and spec is not None and spec.loader is not None:
        package = module_from_spec(spec)
        sys.modules["sweeps"] = package
        spec.loader.exec_module(package)


def main() -> None:
    """Run the command line and exit."""
    _put_last(os.path.realpath(""), os.path.dirname(os.path.realpath(sys.argv[0])))  # noqa: PTH120
    _load_ours()
    from sweeps.cli.main import main as run

    run()
