"""What a study names and the project does not have: tasks, losses, data and encoders of one's own.

They are named as ``package.module:attribute``, found on Python's path (``kdsweep run`` looks in the
current folder and beside the study), or by the short name that an installed package gives them::

    [project.entry-points."kdsweep.methods"]
    cosine = "radio_losses:cosine"

Nothing is imported before a study or a command names it: what fails cannot affect other studies. A
name of the project itself cannot be taken.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from kdtasks.contract.error_text import located, named
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.shadowing import hidden, hidden_from, own_folders

GROUPS = {
    "task": "kdsweep.tasks",
    "method": "kdsweep.methods",
    "scenario": "kdsweep.scenarios",
}
"""Groups of entry points by what is in them: a task, a distillation loss, a source of channels."""

ATTRIBUTES = {"task": "Class", "encoder": "Class"}
"""What the part behind the colon is, where it is no function."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """Something that an installed package has named.

    Attributes:
        kind: Of `GROUPS`.
        name: Its short name.
        target: ``package.module:attribute``.
        package: Name and version of the package that it came with.
    """

    kind: str
    name: str
    target: str
    package: str


def installed() -> list[Plugin]:
    """Return what installed packages have named; imports none of it."""
    return list(_installed(tuple(sys.path)))


@lru_cache(maxsize=1)
def _installed(_path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """Read a file of every package that is installed, once for each path of Python."""
    found = entry_points()
    return tuple(
        Plugin(
            kind=kind,
            name=entry.name,
            target=entry.value,
            package=f"{entry.dist.name} {entry.dist.version}" if entry.dist else "",
        )
        for kind, group in GROUPS.items()
        for entry in found.select(group=group)
    )


def names_of(kind: str) -> dict[str, str]:
    """Return the targets of what installed packages have named, by short name."""
    return {plugin.name: plugin.target for plugin in installed() if plugin.kind == kind}


def module_of(kind: str, name: str) -> str:
    """Return the module in which that lies which a name stands for, as `load_named` takes it."""
    target = name if ":" in name else names_of(kind).get(name, name)
    return target.partition(":")[0]


def load_named(kind: str, name: str, own: Iterable[str] = ()) -> Any:
    """Return what a name stands for that is none of the project's.

    Args:
        kind: What it should be; of `GROUPS`, or something that has no short names.
        name: A short name, or ``package.module:attribute``.
        own: Names of the project, for the error.

    Raises:
        ConfigError: If there is no such name, or it cannot be imported.
    """
    known = {} if ":" in name else names_of(kind)
    target = known.get(name, name)
    module, _, attribute = target.partition(":")
    if not (module and attribute) or module.startswith("."):
        there = ", ".join(sorted({*own, *known, *names_of(kind)}))
        what = ATTRIBUTES.get(kind, "function")
        raise ConfigError(
            f"no {kind} {name!r}; there are {there}, or name your own as 'package.module:{what}'"
        )
    top = module.partition(".")[0]
    if target == name and (found := hidden(top)):
        raise ConfigError(
            f"{kind} {name!r}: {top} is {found[1]} and not your {found[0]}; give your file a name "
            "that no library has, and that name here"
        )
    named.add(top)
    return load_target(kind, name, target)


def load_target(kind: str, name: str, target: str) -> Any:
    """Import what is at ``package.module:attribute``.

    Args:
        kind: What it should be, for the error.
        name: What it is called, likewise.
        target: Where it is.

    Raises:
        ConfigError: If it cannot be imported, whatever its module raises.
    """
    module, _, attribute = target.partition(":")
    found: Any = None
    try:
        found = import_module(module)
        return getattr(found, attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # a module from outside the project may raise anything when it is imported
        fixes = [f"; {words}: rename yours" for words in hidden_from(module)]
        fixes += ["; put it into a file of its own"] * (module == "__main__")
        if found is not None:
            fixes.append(_near(attribute, dir(found)))
        elif isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            folders = [one for one in own_folders() if Path(one).is_dir()]
            near = _near(error.name, [one.name for one in iter_modules(folders)])
            fixes.append(f"; looked in {', '.join(folders) or 'no folder of yours'}{near}")
        problem = f"{kind} {name!r} cannot be imported: {located(error)}"
        raise ConfigError("".join([problem, *fixes])) from error


def _near(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=2)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
