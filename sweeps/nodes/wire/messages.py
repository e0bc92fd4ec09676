"""Messages between nodes, their serialisation, and the parcels that carry them.

A message is a safetensors file, see `sweeps.nodes.wire.header`. Nothing is pickled, and equal
messages have equal bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import TensorSpec
from kdtasks.contract.task import Arrays
from sweeps.nodes.wire.header import Header, opened, sealed
from sweeps.nodes.wire.header import MessageError as MessageError
from sweeps.nodes.wire.quantisation import MAX_BITS, Range, pack, unpack

SERVER = "server"
"""Name of the server node."""

CONDUCTOR = "conductor"
"""Sender of orders, which use no link."""


class Kind(StrEnum):
    """Content of a message; bytes are reported per kind."""

    CONTROL = "control"
    MODEL = "model"
    TEACHER = "teacher"
    SAMPLES = "samples"
    OUTPUTS = "outputs"
    FEATURES = "features"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Message:
    """A message from one node to another.

    Attributes:
        kind: What it carries.
        subject: Selects the receiver's handler, for example ``"student"``.
        deployment: Fingerprint of the deployment that it belongs to.
        facts: JSON values beside the arrays; tuples arrive as lists.
        arrays: Named arrays of types that safetensors and NumPy share.
        bits: Bits per number with which float32 arrays are sent, quantised to evenly spaced
            levels between their smallest and largest value; 0 sends them as they are.
    """

    kind: Kind
    subject: str
    deployment: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    bits: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= MAX_BITS:
            raise MessageError(f"bits must be in 0..{MAX_BITS}, got {self.bits}")

    def to_bytes(self) -> bytes:
        """Serialise; equal messages give equal bytes, whatever the order of entries.

        Raises:
            MessageError: If facts are not JSON, an array's type cannot be sent, or an array that is
                to be quantised holds NaN, infinite or enormous values.
        """
        tensors, ranges = self._quantised()
        entries = {
            "kind": str(self.kind),
            "subject": self.subject,
            "deployment": self.deployment,
            "facts": dict(self.facts),
            "bits": self.bits,
            "quantised": ranges,
        }
        try:
            return sealed(entries, tensors)
        except MessageError as error:
            raise MessageError(f"{self._name}: {error}") from error

    @classmethod
    def from_bytes(cls, payload: bytes, *, deployment: str) -> Self:
        """Parse bytes of `to_bytes` that are meant for ``deployment``.

        Raises:
            MessageError: If any byte was changed, or the message is meant for
                another deployment.
        """
        header, arrays = opened(payload)
        if header.kind not in tuple(Kind):
            raise MessageError(f"unknown kind of message {header.kind!r}")
        if header.deployment != deployment:
            raise MessageError(
                f"message of deployment {header.deployment!r}, this node is in {deployment!r}"
            )
        return cls(
            kind=Kind(header.kind),
            subject=header.subject,
            deployment=header.deployment,
            facts=header.facts,
            arrays=_restored(header, arrays),
            bits=header.bits,
        )

    def checked(self, specs: Mapping[str, TensorSpec]) -> Arrays:
        """Return the arrays if they match the receiver's specifications, by name.

        Raises:
            MessageError: If an array is missing, left over, or of the wrong shape, type or values.
        """
        missing = sorted(specs.keys() - self.arrays.keys())
        extra = sorted(self.arrays.keys() - specs.keys())
        if missing or extra:
            raise MessageError(f"{self._name}: arrays missing: {missing}, left over: {extra}")
        for name, spec in specs.items():
            if misfit := spec.misfit(self.arrays[name]):
                raise MessageError(f"{self._name}: array {name!r} has {misfit}")
        return self.arrays

    @property
    def _name(self) -> str:
        return f"{self.kind} message {self.subject!r}"

    def _quantised(self) -> tuple[dict[str, NDArray[Any]], dict[str, Range]]:
        # safetensors ignores strides
        tensors = {
            name: np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
            for name, array in self.arrays.items()
        }
        ranges: dict[str, Range] = {}
        for name, array in tensors.items():
            if not self.bits or array.dtype != np.float32:
                continue
            try:
                ranges[name], tensors[name] = pack(array, self.bits)
            except ValueError as error:
                raise MessageError(f"{self._name}: array {name!r}: {error}") from error
        return tensors, ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A serialised message with sender and receiver.

    Attributes:
        sender: Name of a node, or the conductor.
        receiver: Name of a node.
        payload: The serialised message, which a link carries.
        kind: Of the message.
        raw_samples: Number of the sender's local samples in it.
        raw_bytes: Their size before any quantisation [B].
        seal: The sender's signature, see `sweeps.nodes.wire.signatures`; empty without.
        made_s: Simulated time at which its sender had produced it [s]; set by the transport.
        epochs: Epochs of training that it orders, as planned; known to the conductor alone.
    """

    sender: str
    receiver: str
    payload: bytes = field(repr=False)
    kind: Kind
    raw_samples: int = 0
    raw_bytes: int = 0
    seal: bytes = field(default=b"", repr=False)
    made_s: float = 0.0
    epochs: int = 0

    @property
    def size(self) -> int:
        """Bytes that a link carries [B]."""
        return len(self.payload) + len(self.seal)

    @property
    def edge(self) -> str:
        """The edge over whose link it travels."""
        return self.receiver if self.sender == SERVER else self.sender

    @classmethod
    def pack(
        cls,
        sender: str,
        receivers: Sequence[str],
        message: Message,
        *,
        raw_samples: int = 0,
        epochs: int = 0,
    ) -> list[Self]:
        """Serialise a message once, for one or more receivers.

        ``raw_samples`` is the number of the sender's own samples in the message's arrays.
        """
        payload = message.to_bytes()
        raw_bytes = sum(array.nbytes for array in message.arrays.values()) if raw_samples else 0
        return [
            cls(
                sender=sender,
                receiver=receiver,
                payload=payload,
                kind=message.kind,
                raw_samples=raw_samples,
                raw_bytes=raw_bytes,
                epochs=epochs,
            )
            for receiver in receivers
        ]


def _restored(header: Header, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with quantised ones unpacked."""
    plain = {name for name, array in tensors.items() if array.dtype == np.float32}
    if (header.quantised and not header.bits) or (header.bits and plain):
        raise MessageError(f"arrays do not match the header: {header.bits} bits per number")
    if absent := sorted(header.quantised.keys() - tensors.keys()):
        raise MessageError(f"arrays do not match the header: {absent} are not in the payload")
    for name, span in header.quantised.items():
        try:
            tensors[name] = unpack(span, tensors[name], header.bits)
        except ValueError as error:
            raise MessageError(f"array {name!r} does not match the header: {error}") from error
    return tensors
