"""The one error of this package; its message states the fix."""

from collections.abc import Iterable
from difflib import get_close_matches


class StudyError(ValueError):
    """A study file is wrong.

    The message is one line: file and line, field, what is wrong with which value, and the fix.

    Attributes:
        problem: What is wrong, with the value, and what to write instead.
        place: Dotted path of the field, for example ``space.temperature.low``; may be empty.
        source: The file; empty if the study did not come from one.
        line: Line in the file, counted from 1; None if unknown.
    """

    def __init__(
        self, problem: str, *, place: str = "", source: str = "", line: int | None = None
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place
        self.source = source
        self.line = line

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.source and self.line else self.source
        return _one_line(": ".join(part for part in (where, self.place, self.problem) if part))


def _one_line(message: str) -> str:
    """Return a message in one line: a key of a file may be any text, with line breaks too."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in message)


def shown(value: object) -> str:
    """Return a value as an error shows it, shortened."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def choose_from(name: object, known: Iterable[str]) -> str:
    """Return the fix for a wrong name: similar known names, else all known names."""
    names = sorted(known)
    close = get_close_matches(str(name), names, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"there are {', '.join(names)}" if names else "there are none"
