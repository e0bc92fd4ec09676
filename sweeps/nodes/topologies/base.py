"""What a topology is: a strategy that emits parcels and digests what nodes answer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kdtasks.contract.collaboration import LearnsOnShares, SharesOutputs
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params, fingerprint
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message, Parcel

Group = tuple[str, int]
"""Edges whose students the server need not tell apart: their family and their teacher."""


def groups(task: LearnsOnShares, params: Params) -> list[Group]:
    """Return the group of each edge: in it students have one architecture and one teacher."""
    settings = NetworkSettings.of(params)
    return [
        (fingerprint(task.edge_params(params, edge)), settings.teacher_of(edge))
        for edge in range(settings.num_edges)
    ]


Steps = Generator[list[Parcel], list[Parcel], None]
"""Yields parcels to be delivered; is sent the parcels that their receivers want to send."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a strategy knows of a trial.

    Attributes:
        settings: The deployment.
        key: Its fingerprint, which is on every message.
        families: Number of different students that the server trains: by architecture and teacher.
        learn_epochs: Epochs of training one student from scratch.
    """

    settings: NetworkSettings
    key: str
    families: int
    learn_epochs: int

    @property
    def edges(self) -> tuple[str, ...]:
        """Names of the edge nodes."""
        return self.settings.edges

    def order(
        self, nodes: Sequence[str], subject: str, facts: Mapping[str, Any] | None = None
    ) -> list[Parcel]:
        """Return the conductor's word to some nodes; it crosses no link."""
        message = Message(
            kind=Kind.CONTROL, subject=subject, deployment=self.key, facts=facts or {}
        )
        return Parcel.pack(CONDUCTOR, nodes, message)

    def order_server(self, subject: str, facts: Mapping[str, Any] | None = None) -> list[Parcel]:
        """Return the conductor's word to the server."""
        return self.order([SERVER], subject, facts)

    def order_edges(self, subject: str, facts: Mapping[str, Any] | None = None) -> list[Parcel]:
        """Return the conductor's word to every edge."""
        return self.order(self.edges, subject, facts)


@dataclass(frozen=True, slots=True)
class Need:
    """A capability that a topology asks of a task.

    Attributes:
        capability: The class in `kdtasks.contract.collaboration`.
        parameter: The parameter of the deployment that asks for it.
        when: Whether it does, in a deployment of this topology.
    """

    capability: type[LearnsOnShares]
    parameter: str = "topology"
    when: Callable[[NetworkSettings], bool] = lambda _: True


IMITATION = Need(SharesOutputs, "anchor_weight", lambda settings: settings.anchor_weight > 0)
"""Students that imitate outputs while they are trained further."""


@dataclass(frozen=True)
class Topology(ABC):
    """Who trains what, where; who sends what to whom."""

    scene: Scene

    title: ClassVar[str]
    """The value of ``topology``, and what else there must be for this strategy."""

    needs: ClassVar[tuple[Need, ...]] = (Need(LearnsOnShares),)
    """What a task must be able to do; at least one of them whatever the parameters."""

    @abstractmethod
    def epochs(self) -> int:
        """Return the epochs that all nodes together will report."""

    @abstractmethod
    def steps(self) -> Steps:
        """Deploy a student at every edge."""
