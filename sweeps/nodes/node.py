"""The common part of server and edges: bytes in, parcels out, and a count of rejected messages."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, TypeVar

from numpy.typing import NDArray

from kdtasks.contract.collaboration import LearnsOnShares, Learnt, TensorSpec, Work
from kdtasks.contract.deployment import NetworkSettings, TopologyName
from kdtasks.contract.errors import UserError
from kdtasks.contract.params import Params
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Arrays, Report
from sweeps.nodes.robust.findings import Findings
from sweeps.nodes.topologies.base import alike
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message, MessageError, Parcel
from sweeps.nodes.wire.signatures import Signer, Verifier

C = TypeVar("C", bound=LearnsOnShares)
F = TypeVar("F", bool, int)

REJECTED = "rejected"
"""Subject of the note in which a node reports a rejected message."""

Handling = Generator[Report, None, list[Parcel] | None]
"""Yields reports while a node trains; returns the parcels of its answer, if there is one."""

Handler = Callable[[str, Message], Handling | list[Parcel] | None]
"""Handles a message, given the sender's name; returns the answer if it trains nothing."""

Role = Literal["conductor", "server", "edge"]
"""Roles of senders: only the conductor gives orders to nodes."""

Handlers = Mapping[tuple[Role, Kind, str], Handler]
"""A node's handlers, by role of the sender, kind and subject."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """The deployment, known to every node of a trial.

    Attributes:
        settings: The network parameters among the completed ones.
        key: Fingerprint of the deployment; messages of others are rejected.
        public_keys: Of all nodes, by name; empty if messages are not signed.
    """

    task: LearnsOnShares
    params: Params
    settings: NetworkSettings
    key: str
    public_keys: Mapping[str, bytes] = field(default_factory=dict)

    def alike(self, topology: TopologyName) -> Self:
        """Return what an edge of this topology knows: the deployment as if all edges had it."""
        params = alike(self.task, self.params, topology)
        return replace(self, params=params, settings=NetworkSettings.of(params))


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a node would leave if its training ended now.

    Attributes:
        parts: Tensors of students that it has, by edge.
        training: Whether it is training some of them.
        work: Cost of this training so far.
        parcels: What it would send, so that students are where they belong.
    """

    parts: dict[str, dict[str, NDArray[Any]]]
    training: bool
    work: Work
    parcels: list[Parcel]


class Node(ABC):
    """A node of the network, which acts on messages only."""

    owns_raw_data = False
    """Whether this node's samples are local measurements, which are counted when sent."""

    def __init__(self, name: str, deployment: Deployment) -> None:
        self.name = name
        self.deployment = deployment
        self.task = deployment.task
        self.settings = deployment.settings
        self.seed = int(deployment.params.get("seed", 0))
        self.rejected = 0
        self.findings = Findings()
        self.signer: Signer | None = None
        self._verifier = Verifier(name, deployment.public_keys) if deployment.public_keys else None
        self._spent = Work()
        self._trained: tuple[str, ...] = ()
        self._leaving: Callable[[], Learnt] | None = None

    @abstractmethod
    def handlers(self) -> Handlers:
        """Return the handlers of the node."""

    def report_findings(self, _sender: str, _message: Message) -> list[Parcel]:
        """Return the findings to the conductor, which uses no link."""
        return self.send([CONDUCTOR], Kind.CONTROL, "findings", **asdict(self.findings))

    def role_of(self, sender: str) -> Role:
        """Return the role of a sender in this deployment.

        Raises:
            MessageError: If it has none.
        """
        if sender == CONDUCTOR:
            return "conductor"
        if sender == SERVER:
            return "server"
        if sender in self.settings.edges:
            return "edge"
        raise MessageError(f"{sender!r} is no node of this deployment")

    def handle(
        self, sender: str, payload: bytes, seal: bytes = b""
    ) -> Generator[Report, None, tuple[list[Parcel], Work]]:
        """Handle a message; yield reports of training.

        A message that is damaged, forged, foreign, of the wrong shape or unknown changes nothing:
        it is counted and reported to the conductor. Returns answers and the cost of the work.
        """
        self._spent = Work()
        try:
            if self._verifier is not None and sender != CONDUCTOR:
                self._verifier.check(sender, payload, seal)
            message = Message.from_bytes(payload, deployment=self.deployment.key)
            role = self.role_of(sender)
            handler = self.handlers().get((role, message.kind, message.subject))
            if handler is None:
                raise MessageError(
                    f"{message.kind} {message.subject!r} of this sender is not known"
                )
            found = handler(sender, message)
            parcels = (yield from found) if isinstance(found, Generator) else found
        except MessageError as error:
            self.rejected += 1
            reason = f"{self.name} rejected a message of {sender}: {error}"
            parcels = self.send([CONDUCTOR], Kind.CONTROL, REJECTED, reason=reason)
        return parcels or [], self._spent

    def learning(
        self,
        training: Generator[Report, None, Learnt],
        edges: Sequence[str],
        *,
        number: int = 0,
        count: int = 1,
        incomplete: bool = False,
    ) -> Generator[Report, None, Learnt]:
        """Forward a training of the student of ``edges``, charge it, and return what it leaves.

        Args:
            training: One of ``count`` equally long trainings; ``number`` counts from 0.
            edges: Edges that have this student.
            number: Its place among them.
            count: How many are ordered by one message.
            incomplete: Whether other edges have no student yet, so that none can be judged.
        """
        self._trained = tuple(edges)

        def change(report: Report) -> Report:
            self._leaving = report.left
            return replace(
                report,
                epoch=number * report.epochs + report.epoch,
                epochs=count * report.epochs,
                left=None if incomplete else report.left,
            )

        learnt = yield from forwarded(training, change)
        self._leaving = None
        self.charge(learnt.work)
        return learnt

    def standing(self) -> Standing:
        """Return what the node would leave if its training ended now."""
        parts = {edge: dict(part) for edge, part in self.students().items()}
        learnt, training = Learnt(weights={}), self._leaving is not None
        if self._leaving is not None:
            learnt = self._leaving()
            for edge in self._trained:
                parts[edge] = {**parts.get(edge, {}), **learnt.weights}
        return Standing(
            parts=parts,
            training=training,
            work=self._spent + learnt.work if training else learnt.work,
            parcels=self.unsent(parts, learnt),
        )

    @abstractmethod
    def students(self) -> Mapping[str, Arrays]:
        """Return the tensors of students that the node has, by edge."""

    @abstractmethod
    def unsent(self, students: Mapping[str, Arrays], learnt: Learnt) -> list[Parcel]:
        """Return what must be sent so that ``students``, with what a training leaves, can run."""

    def charge(self, work: Work) -> None:
        """Add work to the cost of the message being handled."""
        self._spent = self._spent + work

    def paid(self, done: tuple[Arrays, Work]) -> Arrays:
        """Return what was computed, after adding its cost, see `charge`."""
        self.charge(done[1])
        return done[0]

    def able(self, capability: type[C]) -> C:
        """Return the task, typed as having a capability.

        Raises:
            MessageError: If it lacks it. A topology's ``needs`` were checked, so no node sent this.
        """
        if not isinstance(self.task, capability):
            raise MessageError(f"task {self.task.name} lacks {capability.__name__}")
        return self.task

    def send(
        self,
        receivers: Sequence[str],
        kind: Kind,
        subject: str,
        arrays: Arrays | None = None,
        **facts: Any,
    ) -> list[Parcel]:
        """Return a message to several nodes, serialised once.

        Samples and outputs between nodes are quantised to ``exchange_bits``.

        Raises:
            UserError: If the message cannot be encoded, for example because it holds NaN.
        """
        over_the_air = CONDUCTOR not in receivers
        exchanged = kind in (Kind.SAMPLES, Kind.OUTPUTS)
        message = Message(
            kind=kind,
            subject=subject,
            deployment=self.deployment.key,
            facts=facts,
            arrays=arrays or {},
            bits=self.settings.exchange_bits if over_the_air and exchanged else 0,
        )
        raw = kind is Kind.SAMPLES and over_the_air and self.owns_raw_data
        raw_samples = self.task.sample_count(message.arrays) if raw else 0
        try:
            parcels = Parcel.pack(self.name, receivers, message, raw_samples=raw_samples)
        except MessageError as error:
            raise UserError(f"{self.name} cannot send {subject!r}: {error}") from error
        if self.signer is None or not over_the_air:
            return parcels
        return [replace(p, seal=self.signer.seal(p.receiver, p.payload)) for p in parcels]


def take_samples(message: Message, task: LearnsOnShares, params: Params, own: Arrays) -> Arrays:
    """Return a message's samples after checking them against ``own``, the receiver's samples.

    Raises:
        MessageError: If an array is missing, left over or misfits, or there are no samples.
    """
    samples = message.checked(task.sample_tensors(params, own))
    if not task.sample_count(samples):
        raise MessageError(f"{message.kind} message {message.subject!r} holds no samples")
    if misfit := task.sample_misfit(samples):
        raise MessageError(f"{message.kind} message {message.subject!r} has {misfit}")
    return samples


def take_about(message: Message, specs: Mapping[str, TensorSpec], here: int) -> Arrays:
    """Return a message's arrays after checking them: a row per sample, ``here`` rows.

    Raises:
        MessageError: If an array is missing, left over or misfits, or is of another number of
            samples.
    """
    arrays = message.checked(specs)
    counts = {len(array) for array in arrays.values()}
    if counts != {here}:
        raise MessageError(
            f"{message.kind} message {message.subject!r} is about {max(counts, default=0)} "
            f"samples, but their number here is {here}"
        )
    return arrays


def take_fact(message: Message, name: str, kind: type[F]) -> F:
    """Return a fact that is a count, or true or false.

    Raises:
        MessageError: If it is missing, of another kind, or a negative number.
    """
    value = message.facts.get(name)
    if type(value) is not kind or value < 0:
        wanted = "true or false as" if kind is bool else "a whole number"
        raise MessageError(f"{message.subject!r} needs {wanted} {name!r}, got {value!r}")
    return value
