"""Code of the user's own that a study names: where it lies, and what other machines are sent."""

import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from kdtasks.errors import ConfigError
from kdtasks.plugins import names_of
from kdtasks.registry import known_tasks
from kdtasks.shadowing import hidden, hidden_from
from search_spaces.domains import Choice
from search_spaces.study import Study
from sweeps.environment import ROOT

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")
"""How such code is named: ``package.module:attribute``."""


def own_modules(study: Study) -> list[str]:
    """Return the modules that a study names, in its order: of its task, losses, data, encoders.

    Only what this process has imported: whoever calls this has checked the study.
    """
    modules = (name.partition(":")[0] for name in _said(study) if NAME.fullmatch(name))
    return [module for module in dict.fromkeys(modules) if module in sys.modules]


def named_modules(study: Study) -> list[str]:
    """Return every module that a study names, by short names too; nothing is imported."""
    known = {**names_of("method"), **names_of("scenario"), **known_tasks()}
    targets = (known.get(name, name) for name in _said(study))
    return list(dict.fromkeys(t.partition(":")[0] for t in targets if NAME.fullmatch(t)))


def _said(study: Study) -> Iterator[str]:
    """Yield every word that a study gives as a value."""
    values = [study.task, *study.parameters.values()]
    for parameter in study.space.parameters.values():
        values += parameter.domain.options if isinstance(parameter.domain, Choice) else ()
    values += [value for point in study.search.points for value in point.values()]
    yield from (value for value in values if isinstance(value, str))


def code_path(study: Study) -> str:
    """Return the folder in which Python finds the code that a study names; empty if there is none.

    Our own code, and what was installed into the environment, is found without.

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
    """Return what a cluster's machines are sent of it: packages, or all modules beside each other.

    Args:
        study: The study.
        folder: Where its code is, see `code_path`; empty if there is none.
    """
    if not folder:
        return []
    tops = {Path(folder) / name.partition(".")[0] for name in own_modules(study)}
    packages = sorted(path for path in tops if path.is_dir())
    if len(packages) == len(tops):
        return packages
    # what is sent comes first there, so nothing is that hides a library
    return packages + sorted(p for p in Path(folder).glob("*.py") if hidden(p.stem) is None)


def mixed_up(study: Study) -> list[str]:
    """Say which files beside a study's code are hidden by modules that it imports."""
    return [
        f"{words}; rename yours if you mean it"
        for module in own_modules(study)
        for words in hidden_from(module)
    ]
