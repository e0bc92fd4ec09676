"""The base of topologies: strategies that send parcels and process the answers of nodes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kdtasks.contract.collaboration import LearnsOnShares, SharesOutputs
from kdtasks.contract.deployment import AttackName, DefenceName, NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.poisoning import FlipsLabels
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message, Parcel

Group = tuple[str, int]
"""Edges that share a student at the server: fingerprint of the family, index of the teacher."""


def groups(task: LearnsOnShares, params: Params) -> list[Group]:
    """Return the group of each edge; students of a group share architecture and teacher."""
    settings = NetworkSettings.of(params)
    return [
        (fingerprint(task.edge_params(params, edge)), settings.teacher_of(edge))
        for edge in range(settings.num_edges)
    ]


class CapabilityError(ConfigError):
    """A deployment asks for what the task or the topology cannot do.

    Attributes:
        parameter: The parameter that asks for it.
    """

    def __init__(self, text: str, parameter: str) -> None:
        super().__init__(text)
        self.parameter = parameter


Steps = Generator[list[Parcel], list[Parcel], None]
"""Yields parcels to deliver; is sent the parcels with which their receivers answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The facts about a trial that a topology uses.

    Attributes:
        settings: The deployment.
        key: Its fingerprint, which every message carries.
        families: Number of students that the server trains, by architecture and teacher.
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
        self,
        nodes: Sequence[str],
        subject: str,
        facts: Mapping[str, Any] | None = None,
        epochs: int = 0,
    ) -> list[Parcel]:
        """Return an order of the conductor to some nodes, which uses no link.

        With ``epochs`` each of them trains for so many, as planned.
        """
        message = Message(
            kind=Kind.CONTROL, subject=subject, deployment=self.key, facts=facts or {}
        )
        return Parcel.pack(CONDUCTOR, nodes, message, epochs=epochs)

    def order_server(
        self, subject: str, facts: Mapping[str, Any] | None = None, epochs: int = 0
    ) -> list[Parcel]:
        """Return an order of the conductor to the server, see `order`."""
        return self.order([SERVER], subject, facts, epochs)

    def order_edges(
        self, subject: str, facts: Mapping[str, Any] | None = None, epochs: int = 0
    ) -> list[Parcel]:
        """Return an order of the conductor to every edge, see `order`."""
        return self.order(self.edges, subject, facts, epochs)

    def train_at_server(self) -> list[Parcel]:
        """Return the order to the server to train all of its students."""
        return self.order_server("train", epochs=self.families * self.learn_epochs)


@dataclass(frozen=True, slots=True)
class Need:
    """A capability of tasks that a topology needs.

    Attributes:
        capability: The class in `kdtasks.contract.collaboration` or `kdtasks.contract.poisoning`.
        parameter: The parameter of the deployment that causes the need.
        when: Whether a deployment of this topology needs it.
    """

    capability: type[LearnsOnShares]
    parameter: str = "topology"
    when: Callable[[NetworkSettings], bool] = lambda _: True


IMITATION = Need(SharesOutputs, "anchor_weight", lambda settings: settings.anchor_weight > 0)
"""Students that imitate outputs while they are trained further."""


FLIPPING = Need(FlipsLabels, "attack", lambda settings: settings.attack == "flipped-labels")
"""Hostile edges that learn from wrong labels."""


def probing(capability: type[LearnsOnShares]) -> Need:
    """Return the need of the defence by tests on labelled samples."""
    return Need(capability, "defence", lambda settings: settings.defence == "probe")


@dataclass(frozen=True)
class Topology(ABC):
    """Defines which nodes train, and what they send to each other."""

    scene: Scene

    title: ClassVar[str]
    """The value of ``topology``, with a further condition if there is one."""

    needs: ClassVar[tuple[Need, ...]] = (Need(LearnsOnShares),)
    """Capabilities that the task must have; at least one does not depend on parameters."""

    attacks: ClassVar[tuple[AttackName, ...]] = ()
    """Attacks that can be made; without any there is nothing to poison."""

    defences: ClassVar[tuple[DefenceName, ...]] = ()
    """Defences beside ``none``."""

    @property
    def students_at_server(self) -> int:
        """Number of students whose training, or a part of it, is done at the server."""
        return self.scene.families

    @abstractmethod
    def epochs(self) -> int:
        """Return the number of epochs that all nodes together will report."""

    @abstractmethod
    def steps(self) -> Steps:
        """Deploy a student at every edge."""
