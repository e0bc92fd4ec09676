"""Scores students of a deployment on shares, none of them twice.

The students of a deployment as their edges run them.

Several teachers of one server, trained from seeds of their own and kept as one artefact.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from kdtasks.contract.collaboration import joined, name_of, parted
from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.task import Arrays, Report, TeacherArtifact, digest
from kdtasks.learning.jobs import numbered

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


EDGE = "edge-"

Scores = dict[str, float]

ScoreOf: TypeAlias = Callable[[int, Arrays, Arrays], Scores]
"""Returns the scores of an edge's kind of student, with these weights, on a share."""


@dataclass(slots=True)
class _Student:
    """One student, at one edge or at several that received the same.

    Attributes:
        deployable: The student.
        edges: The edges that run it.
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
        place = f"Edge{several} {', '.join(map(str, self.edges))}."
        return {
            self.names[name]: replace(part, about=f"{place} {part.about}")
            for name, part in self.deployable.parts.items()
        }


def deployed(
    weights: Arrays,
    built: Callable[[int, Arrays], Deployable],
    judged: Callable[[ScoreOf, Arrays], Scores],
) -> Deployable:
    """Return the networks of all edges' students; those of equal students only once.

    Args:
        weights: Of the deployment's nodes, see `kdtasks.contract.collaboration.joined`.
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


Training = Generator[Report, None, TeacherArtifact]


def train_all(train_one: Callable[[int], Training], count: int) -> Training:
    """Train teachers one after the other; numbers their epochs through.

    Metrics are means, except for ``train_core_seconds``, which is the sum.

    Args:
        train_one: Trains the teacher of a number, from 0.
        count: How many.
    """
    found = []
    for number in range(count):
        teacher = yield from numbered(train_one(number), number=number, count=count)
        found.append(teacher)
    return _together(found)


def _together(teachers: Sequence[TeacherArtifact]) -> TeacherArtifact:
    metrics = mean_metrics([teacher.metrics for teacher in teachers])
    metrics["train_core_seconds"] *= len(teachers)
    return TeacherArtifact(
        metrics=metrics,
        weights=joined({name_of(k): teacher.weights for k, teacher in enumerate(teachers)}),
        outputs=joined({name_of(k): teacher.outputs for k, teacher in enumerate(teachers)}),
    )


def mean_metrics(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every metric over several teachers."""
    return {name: sum(row[name] for row in metrics) / len(metrics) for name in metrics[0]}
