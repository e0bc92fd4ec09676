"""Files of a user's own that a module of the same name hides: Python's, an installed one, ours.

Folders of the user's own code come last on Python's path, so a file ``random.py`` there is never
taken for Python's module; nor is it found by an import that means it.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

LIBRARY = tuple(
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
)


def hidden(name: str) -> tuple[Path, str] | None:
    """Return the file of the user's own that is hidden, and what hides it; None if nothing is.

    A file with the same content is as good, wherever it is.

    Args:
        name: Of a module or package, without dots.
    """
    taken = _taken(name)
    for folder in own_folders():
        spec = PathFinder.find_spec(name, [folder])
        if spec is not None and spec.origin is not None and taken is not None:
            own = Path(spec.origin).resolve()
            if not _same(own, Path(taken)):
                return own, taken
    return None


def hidden_from(module: str) -> Iterator[str]:
    """Name the files beside a module of the user's own that are not what is imported there.

    Args:
        module: Its name; what lies beside it is looked at as far as it has been imported.
    """
    top = module.partition(".")[0]
    taken = _taken(top)
    if taken is None or is_library(Path(taken)):
        return
    first = Path(taken).resolve()
    folder = first.parent.parent if first.name == "__init__.py" else first.parent
    files = {file for file in map(_file, list(sys.modules.values())) if file}
    ours = {Path(file).resolve() for file in files if not _is_library_file(file)}
    for file in sorted({first, *(file for file in ours if file.is_relative_to(folder))}):
        for name in sorted(_imports(file)):
            if found := hidden(name):
                yield f"{file} imports {name}, which is {found[1]} and not your {found[0]}"


def _taken(name: str) -> str | None:
    """Return what is imported under a name: a file, or a word for what is built into Python."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # of a module that was made by hand
        return None
    return None if spec is None else spec.origin


def own_folders() -> list[str]:
    """Return the folders on Python's path that are the user's."""
    return _own_among(tuple(sys.path), Path.cwd())


@lru_cache(maxsize=8)
def _own_among(entries: tuple[str, ...], folder: Path) -> list[str]:  # entries are relative to it
    found = dict.fromkeys(str(Path(folder, entry).resolve()) for entry in entries)
    return [entry for entry in found if not is_library(Path(entry))]


def is_library(path: Path) -> bool:
    """Return whether something is a part of Python or was installed."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    real = path.resolve()
    return any(real.is_relative_to(folder) for folder in LIBRARY)


@cache
def _is_library_file(file: str) -> bool:
    return is_library(Path(file))


def _same(own: Path, taken: Path) -> bool:
    try:
        return own == taken.resolve() or own.read_bytes() == taken.read_bytes()
    except OSError:  # one that is built in, or in an archive
        return False


def _file(module: object) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and file.endswith(".py") else None


def _imports(file: Path) -> set[str]:
    """Return the first parts of what a file imports, also inside functions."""
    try:
        return _imports_of(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()


@lru_cache(maxsize=256)
def _imports_of(source: bytes) -> set[str]:
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
