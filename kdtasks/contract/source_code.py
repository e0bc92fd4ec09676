"""Which source a piece of work runs: a module and what it imports that is not installed.

What is imported inside functions counts, relatively, or by ``import_module`` with a name that
stands there; what a program puts together while it runs cannot be seen. Source is compared as
Python reads it: comments, docstrings and layout change nothing.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from kdtasks.contract.params import fingerprint

OURS = "kdtasks"
"""Counts wherever it lies: every task works with it."""

FACE = "kdsweep"
"""Runs nothing of a trial itself, but brings in what does."""

OUR_PACKAGES = frozenset({"kdtasks", "sweeps"})
"""Those of which trials run something."""

STATES = Path(__file__).with_name("code_states.json")
"""States of our own code that compute the same numbers, from before and after files were moved.

Each has the digests of all modules that trials run. ``benchmarks/code_states.py`` adds one,
once the golden tests have passed on it unchanged; it begins anew when a number changes.
"""

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of packages that are installed; their versions are in the record of the environment."""

BY_NAME = frozenset({"import_module", "__import__"})
"""Functions that import what a text names."""


def sources(*modules: str) -> dict[str, str]:
    """Return a digest of the source of modules and of all that they import, by module.

    Packages that are installed are left out, but for those of ``modules`` and our own. The
    packages around a module count, as Python runs them first.

    Args:
        modules: Dotted names. One that has no source, or is not found, has no digest.
    """
    tops = {OURS, FACE, *(_top(name) for name in modules)}
    found: dict[str, str] = {}
    specs: Specs = {}
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        file = _file(name, tops, specs)
        if file is None:
            continue
        facts = file.stat()
        content, imported = _read(file, name, facts.st_mtime_ns, facts.st_size)
        if _top(name) == FACE:
            waiting += [one for one in imported if _top(one) == OURS]
            continue
        found[name] = content
        waiting += imported
    return dict(sorted(found.items()))


def _top(module: str) -> str:
    return module.partition(".")[0]


def files_beside(module: str) -> dict[str, int]:
    """Return when each file was changed that a module lies in, or one beside it that is imported.

    Args:
        module: Dotted name of a module that is imported.

    Returns:
        Path to nanoseconds since 1970; a file that is gone has 0.
    """
    home = getattr(sys.modules.get(module), "__file__", None)
    if home is None:
        return {}
    loaded = [str(getattr(one, "__file__", None)) for one in list(sys.modules.values())]
    folder = f"{Path(home).parent}{os.sep}"
    beside = {file for file in loaded if file.startswith(folder) and "-packages" not in file}
    return {f: Path(f).stat().st_mtime_ns if Path(f).is_file() else 0 for f in {home, *beside}}


def source_digest(*modules: str) -> str:
    """Return 16 hexadecimal digits that identify what `sources` returns."""
    return fingerprint(sources(*modules))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the modules that are other ones, new or gone; ours only if numbers may differ."""
    if _same_numbers(before, after):
        before, after = _users(before), _users(after)
    return sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))


def joined(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the modules of both; where ours have been moved in between, ours of today."""
    both = {**after, **before}
    if _in_a_state(both) or not _same_numbers(before, after):
        return both
    return {**_users(before), **after}


def _same_numbers(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    return _in_a_state(before) and _in_a_state(after)


def _in_a_state(code: Mapping[str, str]) -> bool:
    """Whether all of ours in ``code`` is as in one of the states that are known."""
    ours = code.items() - _users(code).items()
    return any(ours <= state.items() for state in _states())


def _users(code: Mapping[str, str]) -> dict[str, str]:
    return {name: one for name, one in code.items() if _top(name) not in OUR_PACKAGES}


@lru_cache(maxsize=1)
def _states() -> tuple[dict[str, str], ...]:
    return tuple(json.loads(STATES.read_text(encoding="utf-8")).values())


def file_of(module: str) -> Path | None:
    """Return the file of a module that nothing need have imported; None if it has none."""
    return _file_in(module, {})


Specs = dict[str, ModuleSpec | None]
"""Modules that have been searched for, while nothing changes."""


def _file_in(module: str, specs: Specs) -> Path | None:
    spec = _spec(module, specs)
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _file(name: str, tops: set[str], specs: Specs) -> Path | None:
    """Return the file of a module that counts."""
    top = _top(name)
    if top in sys.stdlib_module_names:
        return None
    file = _file_in(name, specs)
    if file is None or not file.is_file():
        return None
    return file if top in tops or not INSTALLED.intersection(file.parts) else None


def _spec(name: str, specs: Specs) -> ModuleSpec | None:
    """Find a module without running the packages around it."""
    if name not in specs:
        specs[name] = _found(name, specs)
    return specs[name]


def _found(name: str, specs: Specs) -> ModuleSpec | None:
    path = None
    if parent := name.rpartition(".")[0]:
        above = _spec(parent, specs)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in sys.meta_path:
        if spec := finder.find_spec(name, path):
            return spec
    return None


@lru_cache(maxsize=1024)
def _read(file: Path, name: str, _mtime_ns: int, _size: int) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a file and the modules that it may import."""
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # compiled, or nothing that Python can run
        return hashlib.sha256(content).hexdigest()[:16], ()
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    imported = tuple(_imports(tree, package))
    words: list[str] = []
    _put_words(tree, words.append)
    total = "".join(f"{word}\0" for word in words).encode("utf-8", "surrogatepass")
    return hashlib.sha256(total).hexdigest()[:16], imported


def _put_words(node: ast.AST, put: Callable[[str], None]) -> None:
    """Put down what decides on the meaning of source; the same by every version of Python."""
    put(f"({type(node).__name__}")
    for field, value in ast.iter_fields(node):
        parts = value if isinstance(value, list) else [value]
        if field == "body" and _is_docstring(parts[0] if parts else None):
            parts = parts[1:]
        for part in parts:
            if isinstance(part, ast.AST):
                put(field)
                _put_words(part, put)
            elif (part is not None or parts is value) and field not in ("kind", "type_comment"):
                put(f"{field} {part!r}")  # None in a list has a place: {**a, "b": c}
    put(")")


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield every name that may be one of a module that is imported; some are of other things."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _called(node.func) in BY_NAME:
            named = node.args[0]
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield _absolute(named.value, package)


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _absolute(name: str, package: str) -> str:
    """Return a module's full name; leading dots count packages upwards."""
    plain = name.lstrip(".")
    level = len(name) - len(plain)
    if level == 0:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([plain] if plain else [])])
