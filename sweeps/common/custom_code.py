"""User code that a study names: its folder, and which files are sent to other machines."""

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import names_of
from kdtasks.contract.registry import TOGETHER, known_tasks
from kdtasks.contract.shadowing import hidden, hidden_from
from search_spaces.domains import Choice
from search_spaces.study import Study
from sweeps.common.environment import ROOT, engine_environment

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")
"""User code is named ``package.module:attribute``."""


def own_modules(study: Study) -> list[str]:
    """Return the modules that a study names, in its order: of its task, losses, data, encoders.

    Only modules that this process has imported; callers have checked the study.
    """
    modules = (name.partition(":")[0] for name in _string_values(study) if NAME.fullmatch(name))
    return [module for module in dict.fromkeys(modules) if module in sys.modules]


def named_modules(study: Study) -> list[str]:
    """Return every module that a study names, directly or by a short name, without importing it."""
    known = {**names_of("method"), **names_of("scenario"), **known_tasks()}
    targets = (known.get(name, name) for name in _string_values(study))
    return list(dict.fromkeys(t.partition(":")[0] for t in targets if NAME.fullmatch(t)))


def _string_values(study: Study) -> Iterator[str]:
    """Yield every string among the values of a study."""
    values = [*study.task.split(TOGETHER), *study.parameters.values()]
    for domain in study.space.parameters.values():
        values += domain.options if isinstance(domain, Choice) else ()
    values += [value for point in study.search.points for value in point.values()]
    yield from (value for value in values if isinstance(value, str))


PROBE = "import sys, importlib, sweeps; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])"
"""A program that fails if a new process cannot import an attribute of a module."""


def check_importable(study: Study) -> None:
    """Check that worker processes can import the code that a study names.

    Raises:
        ConfigError: Naming the code and the fix.
    """
    for name in dict.fromkeys(_string_values(study)):
        check_name(name, f"study {study.name}")


def check_name(name: str, place: str) -> None:
    """Check that worker processes can import code, if a string names some.

    Workers import from files: they find neither code that was typed into a notebook or the program
    that was started, nor attributes that a running program added to a module. Nor has such code a
    source by which a teacher could be known again.

    Raises:
        ConfigError: Naming the code and the fix.
    """
    module, _, attribute = name.partition(":")
    known = NAME.fullmatch(name) and module in sys.modules
    if not known or module in sys.builtin_module_names:
        return
    if why := _unreachable(module, attribute):
        raise ConfigError(
            f"{place}: {name} {why}, so worker processes cannot import it: put it into a file of "
            f"its own beside the study, my_task.py for instance, and name it my_task:{attribute}; "
            "in a notebook the line %%writefile my_task.py at the head of its cell does that, and "
            f"the next cell begins with: from my_task import {attribute}"
        )


def _unreachable(module: str, attribute: str) -> str:
    """Return why a new process cannot import an attribute; empty if it can."""
    if module == "__main__":
        return "is in the program or notebook that was started"
    file = getattr(sys.modules[module], "__file__", None)
    if file is None:
        return "is in a module without a file"
    found = getattr(sys.modules[module], attribute, None)
    made = "<locals>" in getattr(found, "__qualname__", "")
    elsewhere = getattr(found, "__module__", "") == "__main__"
    if _on_path(module) == Path(file).resolve() and not made and not elsewhere:
        return ""
    with engine_environment([ROOT]):
        probed = subprocess.run(  # noqa: S603 - our own program; what it imports is imported here
            [sys.executable, "-P", "-c", PROBE, module, attribute], capture_output=True, check=False
        )
    if not probed.returncode:
        return ""
    return f"is not in {file}" if made or elsewhere else f"is in {file}, but not on Python's path"


def _on_path(module: str) -> Path | None:
    """Return the file of a module on Python's path; None if it is not there."""
    path, spec = None, None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}".strip(".")
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return Path(spec.origin).resolve() if spec is not None and spec.origin else None


def code_path(study: Study) -> str:
    """Return the folder in which Python finds the code that a study names; empty if there is none.

    Our own code and installed packages need no folder.

    Raises:
        ConfigError: If it is in several folders.
    """
    installed = {str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    found: dict[str, str] = {}
    for name in own_modules(study):
        file = sys.modules[name].__file__
        if file is not None:
            folder = str(Path(file).resolve().parents[name.count(".")])
            found.setdefault(folder, name)
    folders = [folder for folder in found if folder not in installed]
    if len(folders) > 1:
        where = ", ".join(f"{found[folder]} in {folder}" for folder in folders)
        raise ConfigError(f"study {study.name}: your code is in several folders ({where}); use one")
    return folders[0] if folders else ""


def code_to_send(study: Study, folder: str) -> list[Path]:
    """Return the user code to send to a cluster: whole packages, or all modules of the folder."""
    if not folder:
        return []
    tops = {Path(folder) / name.partition(".")[0] for name in own_modules(study)}
    packages = sorted(path for path in tops if path.is_dir())
    if len(packages) == len(tops):
        return packages
    # sent files come first on the path there, so files that would hide a library are left out
    return packages + sorted(p for p in Path(folder).glob("*.py") if hidden(p.stem) is None)


def mixed_up(study: Study) -> list[str]:
    """Return which files beside a study's code are hidden by modules that it imports."""
    return [
        f"{words}; rename yours if you mean it"
        for module in own_modules(study)
        for words in hidden_from(module)
    ]
