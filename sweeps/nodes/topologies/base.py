"""The base of topologies: strategies that send parcels and process the answers of nodes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kdtasks.contract.collaboration import LearnsOnShares, ServesEachEdge, SharesOutputs
from kdtasks.contract.deployment import AttackName, DefenceName, NetworkSettings, TopologyName
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.poisoning import FlipsLabels, PlantsTrigger
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message, Parcel

Group = tuple[str, int]
"""Edges that share a student at the server: fingerprint of the family, index of the teacher."""


def alike(task: LearnsOnShares, params: Params, topology: TopologyName) -> Params:
    """Return the parameters of the deployment in which every edge has a topology of this one."""
    if not isinstance(task, ServesEachEdge) or NetworkSettings.of(params).topology == topology:
        return params
    return task.in_topology(params, topology)


def own_params(task: LearnsOnShares, params: Params) -> list[Params]:
    """Return the parameters of each edge's student, in a deployment of its topology alone."""
    served = NetworkSettings.of(params).served
    uniform = {topology: alike(task, params, topology) for topology in {*served}}
    return [task.edge_params(uniform[topology], edge) for edge, topology in enumerate(served)]


def server_params(task: LearnsOnShares, params: Params, own: Sequence[Params]) -> list[Params]:
    """Return the parameters with which the server trains each edge's student, if it does.

    Centralized edges and those that train further share a student, unless the former send samples.
    ``own`` is what `own_params` returns of the deployment.
    """
    settings = NetworkSettings.of(params)
    if settings.uploads or not {*settings.served} >= {"centralized", "semi-centralized"}:
        return [*own]
    central = alike(task, params, "centralized")
    return [
        task.edge_params(central, edge) if topology == "semi-centralized" else own[edge]
        for edge, topology in enumerate(settings.served)
    ]


def groups(settings: NetworkSettings, each: Sequence[Params]) -> list[Group]:
    """Return the group of each edge, of what `server_params` returns.

    Students of a group share architecture and teacher.
    """
    return [(fingerprint(params), settings.teacher_of(k)) for k, params in enumerate(each)]


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


def answered(parcels: list[Parcel]) -> Steps:
    """Deliver parcels, and then what their receivers answer."""
    answers = yield parcels
    yield answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The facts about a trial that a topology uses.

    Attributes:
        settings: The deployment.
        key: Its fingerprint, which every message carries.
        edges: Names of the edge nodes that it serves.
        families: Number of students that the server trains, by architecture and teacher.
        learn_epochs: Epochs of training one student from scratch.
    """

    settings: NetworkSettings
    key: str
    edges: tuple[str, ...]
    families: int
    learn_epochs: int

    def order(
        self, nodes: Sequence[str], subject: str, epochs: int = 0, **facts: Any
    ) -> list[Parcel]:
        """Return an order of the conductor to some nodes, which uses no link.

        With ``epochs`` each of them trains for so many, as planned.
        """
        message = Message(kind=Kind.CONTROL, subject=subject, deployment=self.key, facts=facts)
        return Parcel.pack(CONDUCTOR, nodes, message, epochs=epochs)

    def order_server(self, subject: str, epochs: int = 0, **facts: Any) -> list[Parcel]:
        """Return an order of the conductor to the server, about the edges, see `order`."""
        return self.order([SERVER], subject, epochs, edges=self.edges, **facts)

    def order_edges(self, subject: str, epochs: int = 0, **facts: Any) -> list[Parcel]:
        """Return an order of the conductor to every edge, see `order`."""
        return self.order(self.edges, subject, epochs, **facts)

    def train_at_server(self) -> list[Parcel]:
        """Return the order to the server to train the students of the edges."""
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
"""Hostile edges, or a poisoned teacher, that learn from wrong labels."""

PLANTING = Need(PlantsTrigger, "attack", lambda settings: settings.attack == "backdoor")
"""A poisoned teacher that answers to a trigger."""


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

    leaks: ClassVar[bool] = False
    """Whether something leaves a node from which `sweeps.nodes.privacy` infers its samples."""

    @property
    def students_at_server(self) -> float:
        """Number of students whose training, or a part of it, is done at the server.

        Per edge that has one of them: where edges have none, their share in this training is 0.
        """
        return self.scene.families

    @abstractmethod
    def steps(self) -> Steps:
        """Deploy a student at every edge; without answers, training is ordered all the same."""

    def epochs(self) -> int:
        """Return the number of epochs that all nodes together will report."""
        steps, planned = self.steps(), 0
        parcels = next(steps)
        while True:
            planned += sum(parcel.epochs for parcel in parcels)
            try:
                parcels = steps.send([])
            except StopIteration:
                return planned


class Serving(Topology):
    """A topology in which no edge needs another, so that each edge can have one of its own."""

    begins_at_server: ClassVar[bool] = False
    """Whether the server trains students before anything is sent."""

    def steps(self) -> Steps:
        if self.begins_at_server:
            yield self.scene.train_at_server()
        yield from self.prepare()
        yield from self.proceed()

    @abstractmethod
    def prepare(self) -> Steps:
        """Send the edges what they begin with."""

    @abstractmethod
    def proceed(self) -> Steps:
        """Train at the edges, or with what they send."""
