"""Which known names a wrong one may be meant for."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 3
"""Names that are proposed."""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return at most `MOST` known names: abbreviated by a name, spelt like it or containing it."""
    names, short = sorted(known), name.replace("_", "").lower()
    found = [one for one in names if _abbreviates(short, one.split("_"))]
    found += get_close_matches(name, names, n=MOST)
    found += [one for one in names if len(name) > MOST and (name in one or one in name)]
    return list(dict.fromkeys(found))[:MOST]


def _abbreviates(short: str, words: list[str]) -> bool:
    """Return whether letters are beginnings of all words, as lr are of learning and rate."""
    if not words:
        return not short
    first, *rest = words
    ends = range(1, len(first) + 1)
    return any(short[:end] == first[:end] and _abbreviates(short[end:], rest) for end in ends)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question whether a near name is meant, after a semicolon; empty without one."""
    near = near_names(name, known)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
