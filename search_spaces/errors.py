"""The one error of this package; its message alone tells the user what to change."""

from collections.abc import Iterable
from difflib import get_close_matches


class StudyError(ValueError):
    """Something in a study file cannot be right.

    The message is one line: file, field, what is wrong with which value, and the fix.

    Attributes:
        problem: What is wrong, with the value, and what to write instead.
        place: Dotted path of the field, for example ``space.temperature.low``; may be empty.
        source: The file; empty if the study did not come from one.
    """

    def __init__(self, problem: str, *, place: str = "", source: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place
        self.source = source

    def __str__(self) -> str:
        return _shown(": ".join(part for part in (self.source, self.place, self.problem) if part))

    def inside(self, outer: str) -> "StudyError":
        """Return the same error seen from further out: ``low`` inside ``space.width``."""
        place = ".".join(part for part in (outer, self.place) if part)
        return StudyError(self.problem, place=place, source=self.source)

    def of(self, source: str) -> "StudyError":
        """Return the same error with the file that it is about."""
        return StudyError(self.problem, place=self.place, source=self.source or source)


def _shown(message: str) -> str:
    """Return a message in one line: a file may have any text for a key, a line break for one."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in message)


def choose_from(name: object, known: Iterable[str]) -> str:
    """Return the fix for a wrong name: its close matches first, then what there is."""
    names = sorted(known)
    close = get_close_matches(str(name), names, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"there are {', '.join(names)}" if names else "there are none"
