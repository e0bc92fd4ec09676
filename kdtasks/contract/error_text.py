"""Errors as people read them: one line with the place in the user's own code, and the traceback."""

import inspect
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdtasks.contract.errors import ConfigError, UserError

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) for name in ("kdtasks", "search_spaces", "sweeps", "analysis"))
"""Folders of our own packages."""
LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "scripts"))
"""Folders of Python's own modules and of the commands that were installed."""
INSTALLED = frozenset({"site-packages", "dist-packages"})
"""What folders of installed packages are called."""

named: set[str] = set()
"""Installed packages whose code a study names, which is the user's own wherever it lies."""

LONGEST = 16_000
"""Of a traceback that is kept [characters]: a deep recursion has thousands of lines."""

CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""A sequence that colours text or moves the cursor of a terminal."""


def printable(text: str, keep: str = "") -> str:
    """Return a text without what steers terminals, reverses lines or is half a character.

    Args:
        text: Any.
        keep: Control characters that stay.
    """
    text = CONTROL.sub("", text)
    return "".join(one if one.isprintable() or one in keep else " " for one in text)


def one_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of its message."""
    text = next((line for line in _message(error).splitlines() if line.strip()), "")
    shown = printable(text).strip()
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error of the user's may fail to describe itself
        return ""


def located(error: BaseException) -> str:
    """Return an error in one line, with its place in the user's own code if it has one."""
    place, text = own_place(error), one_line(error)
    # a SyntaxError's message ends in its place
    return f"{text} ({place})" if place and not text.endswith(f"({place})") else text


def written(function: Callable[..., Any]) -> str:
    """Return the name of a function, and of the file in which it is written."""
    inner = inspect.unwrap(function)
    name = f"{getattr(inner, '__name__', type(inner).__name__)}()"
    code = getattr(inner, "__code__", None)
    return name if code is None else f"{name} of {Path(code.co_filename).name}"


@contextmanager
def blamed(what: str, fix: str = "") -> Iterator[None]:
    """Name what has failed inside, with the place in the user's code.

    Raises:
        ConfigError: If anything is raised that does not say so itself.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(f"{what}: {located(error)}{fix}") from error


def own_place(error: BaseException) -> str:
    """Return file, line and function of the user's own code in which an error arose.

    That is the innermost call that is neither ours nor in an installed package: of an error that a
    library raises, the line that called it. Empty if the user's code had no part in it.
    """
    for one in _chain(error):
        if isinstance(one, SyntaxError) and one.filename and is_own(one.filename):
            return f"{Path(one.filename).name}, line {one.lineno}"
        for frame, line in reversed(list(traceback.walk_tb(one.__traceback__))):
            file = frame.f_code.co_filename
            if is_own(file, frame.f_globals.get("__name__", "")):
                function = frame.f_code.co_name
                where = "" if function == "<module>" else f", in {function}"
                return f"{Path(file).name}, line {line}{where}"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def is_own(file: str, module: str = "") -> bool:
    """Return whether code is the user's own.

    Args:
        file: Where it was read from.
        module: Name of its module.
    """
    if file.startswith("<"):  # typed in, or made by a library
        return file == "<stdin>" or file.startswith("<ipython")
    path = Path(file)
    if any(path.is_relative_to(folder) for folder in OURS):
        return False
    if module.partition(".")[0] in named:
        return True
    installed = not INSTALLED.isdisjoint(path.parts)
    return not (installed or any(path.is_relative_to(folder) for folder in LIBRARIES))


def trace_of(error: BaseException) -> str:
    """Return the traceback of an error, as text that any file and terminal can hold."""
    text = printable("".join(traceback.format_exception(error)), keep="\n")
    if len(text) <= LONGEST:
        return text
    start = LONGEST // 4
    left = len(text) - LONGEST
    return f"{text[:start]}\n... {left} characters left out ...\n{text[start - LONGEST :]}"
