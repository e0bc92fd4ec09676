"""The command ``kdsweep``: it runs the packages beside this file, whoever else has their names.

A folder on PYTHONPATH, or the current one, may have a package ``analysis`` or a module ``sweeps``
of its own, and files that are called as parts of Python are. So nothing of ours is imported before
the current folder and that of the script are behind all others, and ``sweeps`` is taken from here.
"""

import os.path
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib may be anybody's yet


def _put_last(*folders: str) -> None:
    """Put folders behind all others on Python's path, as far as they are on it."""
    behind = [entry for entry in sys.path if os.path.realpath(entry) in folders]
    sys.path[:] = [entry for entry in sys.path if entry not in behind] + behind


def _load_ours() -> None:
    """Import ``sweeps`` from beside this file; it sees to the other packages itself."""
    spec = PathFinder.find_spec("sweeps", [HERE])
    if "sweeps" not in sys.modules and spec is not None and spec.loader is not None:
        package = module_from_spec(spec)
        sys.modules["sweeps"] = package
        spec.loader.exec_module(package)


_put_last(os.path.realpath(""), os.path.dirname(os.path.realpath(sys.argv[0])))  # noqa: PTH120
_load_ours()


def main() -> None:
    """Run the command line and exit."""
    from sweeps.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
