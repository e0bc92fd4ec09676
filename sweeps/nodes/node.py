"""What server and edges have in common: bytes in, parcels out, and a count of what was refused."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdtasks.collaboration import CollaborativeTask, TensorSpec, Work
from kdtasks.config import Params
from kdtasks.network import NetworkSettings
from kdtasks.task import Arrays, Report
from sweeps.nodes.messages import CONDUCTOR, Kind, Message, MessageError, Parcel

REJECTED = "rejected"
"""Subject of the note by which a node says that it refused a message."""

Handling = Generator[Report, None, list[Parcel]]
"""Reports while a node works; returns the parcels that it sends in answer."""

Handler = Callable[[str, Message], Handling]
"""Takes the sender and its message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """What every node of a trial knows.

    Attributes:
        task: The task.
        params: The completed parameters.
        settings: The network parameters among them.
        key: Fingerprint of the deployment; messages of others are refused.
    """

    task: CollaborativeTask
    params: Params
    settings: NetworkSettings
    key: str


class Node:
    """A node of the network: it acts on messages and on nothing else.

    Args:
        name: Its address.
        deployment: What it takes part in.
    """

    def __init__(self, name: str, deployment: Deployment) -> None:
        self.name = name
        self.deployment = deployment
        self.task = deployment.task
        self.settings = deployment.settings
        self.rejected = 0
        self._spent = Work()

    def handlers(self) -> Mapping[tuple[Kind, str], Handler]:
        """Return what the node can act on, by kind and subject."""
        raise NotImplementedError

    def handle(
        self, sender: str, payload: bytes
    ) -> Generator[Report, None, tuple[list[Parcel], Work]]:
        """Act on a message; yields reports of training.

        A message that is damaged, foreign, of the wrong shape or not understood changes nothing:
        it is counted and the conductor is told.

        Args:
            sender: Who sent it.
            payload: The message as it came.

        Returns:
            Parcels in answer, and what the work has cost.
        """
        self._spent = Work()
        try:
            message = Message.from_bytes(payload, deployment=self.deployment.key)
            handler = self.handlers().get((message.kind, message.subject))
            if handler is None:
                raise MessageError(f"does not know {message.kind} {message.subject!r}")
            parcels = yield from handler(sender, message)
        except MessageError as error:
            self.rejected += 1
            reason = f"{self.name} refused a message of {sender}: {error}"
            parcels = self.tell(CONDUCTOR, REJECTED, {"reason": reason})
        return parcels, self._spent

    def charge(self, work: Work) -> None:
        """Put work on the account of the message that is being handled."""
        self._spent = self._spent + work

    def tell(self, receiver: str, subject: str, facts: Mapping[str, Any]) -> list[Parcel]:
        """Return a note without arrays."""
        return self.send([receiver], Kind.CONTROL, subject, facts=facts)

    def send(
        self,
        receivers: Sequence[str],
        kind: Kind,
        subject: str,
        arrays: Arrays | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
    ) -> list[Parcel]:
        """Return a message to several nodes, serialised once.

        Samples and outputs between nodes are quantised to ``exchange_bits``.
        """
        over_the_air = CONDUCTOR not in receivers
        exchanged = kind in (Kind.SAMPLES, Kind.OUTPUTS)
        message = Message(
            kind=kind,
            subject=subject,
            deployment=self.deployment.key,
            facts=facts or {},
            arrays=arrays or {},
            bits=self.settings.exchange_bits if over_the_air and exchanged else 0,
        )
        raw = kind is Kind.SAMPLES and over_the_air and self.owns_raw_data
        return Parcel.pack(self.name, receivers, message, raw=raw)

    owns_raw_data = False
    """Whether samples that this node sends are local measurements, whose leaving is counted."""


def take(message: Message, specs: Mapping[str, TensorSpec]) -> Arrays:
    """Return a message's arrays after checking them.

    Raises:
        MessageError: If an array is missing, left over or misfits.
    """
    message.check(specs)
    return message.arrays


def nothing() -> Handling:
    """Act on a message that needs no work and no answer."""
    yield from ()
    return []


def answer(parcels: list[Parcel]) -> Handling:
    """Answer at once."""
    yield from ()
    return parcels
