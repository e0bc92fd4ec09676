"""The students of a deployment as their edges run them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from kdtasks.collaboration import parted
from kdtasks.deployable import Call, Deployable, Part
from kdtasks.task import Arrays, digest

EDGE = "edge-"

Scores = dict[str, float]

ScoreOf: TypeAlias = Callable[[int, Arrays, Arrays], Scores]
"""Returns the scores of an edge's kind of student, with these weights, on a share."""


@dataclass(slots=True)
class _Student:
    """One student, at one edge or at several that received the same.

    Attributes:
        deployable: The student.
        edges: Who runs it.
    """

    deployable: Deployable
    edges: list[int]

    @property
    def names(self) -> dict[str, str]:
        """Its networks' names among those of the deployment, by its own names of them."""
        return {name: f"{EDGE}{self.edges[0]}-{name}" for name in self.deployable.parts}

    def parts(self) -> dict[str, Part]:
        """Return its networks by their names in the deployment."""
        several = "s" if len(self.edges) > 1 else ""
        who = f"Edge{several} {', '.join(map(str, self.edges))}."
        return {
            self.names[name]: replace(part, about=f"{who} {part.about}")
            for name, part in self.deployable.parts.items()
        }


def deployed(
    weights: Arrays,
    built: Callable[[int, Arrays], Deployable],
    judged: Callable[[ScoreOf, Arrays], Scores],
) -> Deployable:
    """Return the networks of all edges' students; those of equal students only once.

    Args:
        weights: Of the deployment's nodes, see `kdtasks.collaboration.joined`.
        built: Returns the student of an edge with these weights.
        judged: Returns the metrics of the deployment on a split, from what scores its students.
    """
    students: dict[str, _Student] = {}
    homes = []
    nodes = parted(weights)
    for edge in range(sum(name.startswith(EDGE) for name in nodes)):
        own = nodes[f"{EDGE}{edge}"]
        key = digest(own)
        if key not in students:
            students[key] = _Student(built(edge, own), [])
        students[key].edges.append(edge)
        homes.append(students[key])

    def score(calls: Mapping[str, Call], split: Arrays) -> Scores:
        def of_one(edge: int, own: Arrays, share: Arrays) -> Scores:
            found = students.get(digest(own))
            if found is None:  # as it was received, before it was trained at the edge
                return built(edge, own).own_score(share)
            mine = {name: calls[full] for name, full in found.names.items()}
            return found.deployable.score(mine, share)

        return judged(of_one, split)

    return Deployable(
        parts={name: p for one in students.values() for name, p in one.parts().items()},
        score=score,
        chains=tuple(tuple(student.names.values()) for student in homes),
    )
