"""Per edge: each edge is served as its own topology says, in one deployment.

Topologies take turns: they proceed step by step at the same time, and what the server trains for
edges of several of them is trained once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from kdtasks.contract.collaboration import ServesEachEdge
from sweeps.nodes.topologies.base import Need, Scene, Serving, Steps, Topology
from sweeps.nodes.wire.messages import Parcel


@dataclass(frozen=True)
class PerEdge(Topology):
    """Several topologies, each with the scene of its edges.

    Attributes:
        begun: The scene of all edges whose students the server trains before anything is sent.
    """

    parts: tuple[Serving, ...] = ()
    begun: Scene | None = None

    title = "per-edge"
    needs: ClassVar[tuple[Need, ...]] = (Need(ServesEachEdge),)

    @property
    def students_at_server(self) -> float:
        if self.begun is None:
            return 1.0
        return self.begun.families * len(self.scene.edges) / len(self.begun.edges)

    def steps(self) -> Steps:
        begun = [part for part in self.parts if part.begins_at_server]
        # what exists is sent first, so that its edges do not wait for others' students
        yield from _together(
            {part.scene.edges: part.prepare() for part in self.parts if part not in begun}
        )
        if self.begun:
            yield self.begun.train_at_server()
        yield from _together({part.scene.edges: part.prepare() for part in begun})
        yield from _together({part.scene.edges: part.proceed() for part in self.parts})


def _together(courses: Mapping[tuple[str, ...], Steps]) -> Steps:
    """Proceed in several topologies at once; each is sent the answers about its edges."""
    answers: dict[tuple[str, ...], list[Parcel] | None] = dict.fromkeys(courses)
    while answers:
        taken = {edges: _step(courses[edges], given) for edges, given in answers.items()}
        parcels = {edges: sent for edges, sent in taken.items() if sent is not None}
        if not parcels:
            return
        found = yield [parcel for sent in parcels.values() for parcel in sent]
        answers = {edges: [one for one in found if one.edge in edges] for edges in parcels}


def _step(steps: Steps, answers: list[Parcel] | None) -> list[Parcel] | None:
    """Return what is to be delivered next; None at the end."""
    try:
        return next(steps) if answers is None else steps.send(answers)
    except StopIteration:
        return None
