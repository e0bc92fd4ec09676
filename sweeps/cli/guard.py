"""Errors of a command: one line and an exit code each, in any encoding."""

import codecs
import errno
import io
import os
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress

import typer

from analysis.errors import ResultsError
from kdtasks.contract.error_text import located, own_place, printable
from kdtasks.contract.errors import UserError
from search_spaces.errors import StudyError
from sweeps.cli.options import INTERRUPTED, StoppedError
from sweeps.common.secrets import redacted

USER_ERROR = 2
"""Exit code of a user error."""

GONE = (errno.EPIPE, errno.EIO)
"""Errors of an output whose reader, such as ``head``, or terminal was closed."""


def guarded(invoke: Callable[[], object], *, debug: bool) -> int:
    """Run a command; print its error, if it has one, and return the exit code."""
    code, message = verdict(invoke, debug=debug)
    if message:
        print_error(message)
    return code


def verdict(invoke: Callable[[], object], *, debug: bool) -> tuple[int, str]:
    """Run a command; return its exit code and the line of its error, empty if there is none."""
    try:
        code = invoke()
        sys.stdout.flush()
    except (KeyboardInterrupt, StoppedError, typer.Abort) as error:
        return INTERRUPTED, "; ".join(filter(None, ["interrupted", str(error)]))
    except typer.TyperException as error:
        _raise_if(error, debug=debug)
        command = getattr(getattr(error, "ctx", None), "command_path", "kdsweep")
        return USER_ERROR, f"{error.format_message()} (see {command} --help)"
    except (UserError, StudyError, ResultsError, OSError) as error:
        if isinstance(error, OSError) and error.errno in GONE:
            # nothing can be flushed to it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1, ""
        _raise_if(error, debug=debug)
        theirs = isinstance(error, OSError) and own_place(error)
        return USER_ERROR, located(error) if theirs else in_words(error)
    except BaseException as error:
        _raise_if(error, debug=debug)
        if not own_place(error):  # a bug of ours
            raise
        return USER_ERROR, f"{located(error)}; --debug shows where"
    return code if isinstance(code, int) else 0, ""


def _raise_if(error: BaseException, *, debug: bool) -> None:
    if debug:
        raise error


def shown(message: str) -> str:
    """Return an error in one printable line without secrets."""
    return redacted(printable(" ".join(message.split())))


def print_error(message: str) -> None:
    """Print the line of an error to standard error."""
    with suppress(OSError):  # a closed terminal
        sys.stderr.write(f"kdsweep: {shown(message)}\n")


SPELLED = {"−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "±": "+/-"}
SPELLED |= {"×": "x", "·": "*", "μ": "u", "µ": "u"}
"""ASCII replacements of characters that a terminal's encoding may lack."""


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return a replacement of characters that an output cannot encode, and the next position."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_plain, lacking)), error.end


def _plain(character: str) -> str:
    raised = "^" if unicodedata.decomposition(character).startswith("<super>") else ""
    spelled = SPELLED.get(character) or raised + unicodedata.normalize("NFKD", character)
    return spelled.encode("ascii", "ignore").decode() or "?"


codecs.register_error("kdsweep", _spelled)


def any_encoding() -> None:
    """Replace characters that an output cannot encode by ASCII, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="kdsweep")


def in_words(error: Exception) -> str:
    """Return the message of an error; for files, the system's reason and who can change it."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return str(error)
    user = f" for user {os.getuid()}; its owner can allow that with chmod"
    return f"{error.filename}: {error.strerror}{user if isinstance(error, PermissionError) else ''}"
