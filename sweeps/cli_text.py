"""Outputs whose encoding lacks characters of ours: a log in Latin-1, a pipe in ASCII."""

import codecs
import io
import sys
import unicodedata

SPELLED = {"−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "±": "+/-"}
SPELLED |= {"×": "x", "·": "*", "μ": "u", "µ": "u"}
"""Characters of ours that a terminal's encoding may lack, as ASCII has them."""


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that an output cannot take, and where to go on."""
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
