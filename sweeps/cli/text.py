"""What is printed: in outputs whose encoding lacks characters of ours, and of files that fail."""

import codecs
import io
import os
import sys
import unicodedata

SPELLED = {"−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "±": "+/-"}
SPELLED |= {"×": "x", "·": "*", "μ": "u", "µ": "u"}
"""Characters of ours that a terminal's encoding may lack, as ASCII has them."""


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return a replacement of characters that an output cannot encode, and where to continue."""
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
    """Spell what an output's encoding lacks in ASCII, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="kdsweep")


def in_words(error: Exception) -> str:
    """Return the message of an error; for files, what the system refused and who can change it."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return str(error)
    user = f" for user {os.getuid()}; its owner can allow that with chmod"
    return f"{error.filename}: {error.strerror}{user if isinstance(error, PermissionError) else ''}"
