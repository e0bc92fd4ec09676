"""Text for outputs with limited encodings, and messages of file errors."""

import codecs
import io
import os
import sys
import unicodedata

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
