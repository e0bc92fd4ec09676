"""A wide table in parts, one below the other, in a terminal as on paper."""

from collections.abc import Sequence

BESIDE = ("paper", "difference", "seeds")
"""Headings of columns that stay beside the one before them."""


def column_parts(titles: Sequence[str], room: Sequence[float], width: float) -> list[list[int]]:
    """Return the columns of each part, from their titles and widths and the width of the page.

    The first is in all of them; a paper's numbers stay beside measured ones. A part is wider
    than ``width`` only where a single column, with those that stay beside it, is.
    """
    groups: list[list[int]] = []
    for i, title in enumerate(titles[1:], start=1):
        if title in BESIDE and groups:
            groups[-1].append(i)
        else:
            groups.append([i])
    parts: list[list[int]] = [[]]
    for group in groups:
        if parts[-1] and sum(room[i] for i in (0, *parts[-1], *group)) > width:
            parts.append([])
        parts[-1] += group
    return [[0, *part] for part in parts]
