"""How a study is run: Ray Tune, Optuna, MLflow and the ledger."""

import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

# Ray reads this when it is imported: its servers then listen on loopback alone. A sweep runs on one
# machine; set it to 1 to let other machines in.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

# In workers this package is a link. Tracebacks and what is made of them name the file itself.
__path__ = [str(Path(__file__).resolve().parent)]

OWN_CODE = "KDSWEEP_OWN_CODE"
"""Variable with the folders of the user's own code, as JSON, in the environment of workers."""


def _load_packages() -> None:
    """Import the packages beside this one, for a folder on Python's path may have others.

    On machines of a cluster each lies in a folder of its own; those are first on the path.

    Raises:
        ImportError: If another package of that name was imported already.
    """
    here = Path(__file__).resolve().parents[1]
    for name in ("kdtasks", "search_spaces", "analysis"):
        spec = PathFinder.find_spec(name, [str(here)])
        if spec is None or spec.loader is None or spec.origin is None:
            continue
        if name not in sys.modules:
            sys.modules[name] = package = module_from_spec(spec)
            spec.loader.exec_module(package)
        found = getattr(sys.modules[name], "__file__", None)
        if found is None or Path(found).resolve() != Path(spec.origin).resolve():
            raise ImportError(
                f"package {name} is {found or 'a folder without __init__.py'}, but kdsweep in "
                f"{here} needs its own {spec.origin}; rename yours, or import sweeps before it"
            )


_load_packages()
if OWN_CODE in os.environ:  # a worker, which writes nothing for all users, as the command line
    os.umask(os.umask(0) | 0o002)
# last, so that no file there takes the place of a library
_own = json.loads(os.environ.get(OWN_CODE, "[]"))
sys.path += [folder for folder in _own if folder not in sys.path]
