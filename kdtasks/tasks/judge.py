"""Scores students of a deployment on shares, none of them twice."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from kdtasks.task import Arrays, digest

Score = TypeVar("Score")


class Judge(Generic[Score]):
    """Scores students on shares; the same student on the same share is not run again.

    All edges of a family receive one student, and 32 of them would cost 32 times as much.

    Args:
        score: Scores the student of an edge's kind, with these weights, on a share.
        size: Returns how many samples a share holds.
    """

    def __init__(
        self, score: Callable[[int, Arrays, Arrays], Score], size: Callable[[Arrays], int]
    ) -> None:
        self._score = score
        self._size = size
        self._known: dict[tuple[str, int], Score] = {}

    def each(self, students: Sequence[Arrays], shares: Sequence[Arrays]) -> list[Score]:
        """Return the score of each edge's student on the share of the same place, if any."""
        return [
            self._one(edge, weights, share)
            for edge, (weights, share) in enumerate(zip(students, shares, strict=True))
            if self._size(share)
        ]

    def _one(self, edge: int, weights: Arrays, share: Arrays) -> Score:
        key = (digest(weights), id(share))
        if key not in self._known:
            self._known[key] = self._score(edge, weights, share)
        return self._known[key]
