"""What nodes tell each other: messages that serialise themselves, and parcels that carry them.

A serialised message is

    magic (4 bytes) | length of the header (4 bytes, little-endian) | header | payload

The header is canonical JSON, the payload is safetensors. The header's ``sha256`` covers the header
without that entry and the payload. Nothing is pickled, and equal messages are equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from kdtasks.collaboration import TensorSpec
from kdtasks.errors import UserError
from kdtasks.task import Arrays
from sweeps.nodes.packing import MAX_BITS, Packed, pack, unpack

SERVER = "server"
"""Name of the server node."""

CONDUCTOR = "conductor"
"""Sender of orders, which cross no link."""

SCHEMA_VERSION = 1
_MAGIC = b"KDSM"
_LENGTH_BYTES = 4
_HEADER_STARTS = len(_MAGIC) + _LENGTH_BYTES
_FLOAT32_BYTES = 4
_LARGEST = float(np.finfo(np.float32).max)


class MessageError(UserError):
    """A message cannot be sent, or what was received is refused; nothing of it has been used."""


class Kind(StrEnum):
    """What a message carries; its bytes are reported per kind."""

    CONTROL = "control"
    MODEL = "model"
    TEACHER = "teacher"
    SAMPLES = "samples"
    OUTPUTS = "outputs"
    FEATURES = "features"


class _Range(BaseModel):
    """Shape and end points of a quantised array."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    shape: list[Annotated[int, Field(ge=0)]]
    low: float = Field(ge=-_LARGEST, le=_LARGEST)
    high: float = Field(ge=-_LARGEST, le=_LARGEST)


class _Header(BaseModel):
    """All of the header but its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    schema_version: int
    kind: str
    subject: str
    deployment: str
    facts: dict[str, Any]
    bits: int = Field(ge=0, le=MAX_BITS)
    quantised: dict[str, _Range]
    payload_bytes: int = Field(ge=0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Message:
    """What one node tells another.

    Attributes:
        kind: What it carries.
        subject: What the receiver is to make of it, for example ``"student"``.
        deployment: Fingerprint of the deployment that it belongs to.
        facts: JSON values beside the arrays; tuples arrive as lists.
        arrays: Named arrays. Those of a received message are read-only unless they were quantised.
        bits: Float32 arrays are sent with so many bits per number, quantised to evenly spaced
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
        """Serialise; the same message gives the same bytes, in whatever order its entries are.

        Raises:
            MessageError: If facts are not JSON, an array's type cannot be sent, or one that is to
                be quantised holds NaN or infinite values.
        """
        tensors, ranges = self._quantised()
        payload = self._saved(tensors)
        try:
            header = _canonical(
                {
                    "schema_version": SCHEMA_VERSION,
                    "kind": self.kind,
                    "subject": self.subject,
                    "deployment": self.deployment,
                    "facts": dict(self.facts),
                    "bits": self.bits,
                    "quantised": ranges,
                    "payload_bytes": len(payload),
                },
                payload,
            )
        except (TypeError, ValueError) as error:
            raise MessageError(f"{self._name}: facts must be JSON: {error}") from error
        return b"".join((_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, payload))

    @classmethod
    def from_bytes(cls, payload: bytes, *, deployment: str) -> Self:
        """Read a message.

        Args:
            payload: What `to_bytes` gave.
            deployment: The receiver's deployment.

        Raises:
            MessageError: If anything is not as `to_bytes` leaves it, or the message is meant for
                another deployment. Damage anywhere is found, by the hash if by nothing else.
        """
        header, tensors = _opened(payload)
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
            arrays=_restored(header, _loaded(tensors)),
            bits=header.bits,
        )

    def check(self, specs: Mapping[str, TensorSpec]) -> None:
        """Make sure that the arrays are those that the receiver can use.

        Args:
            specs: What they must be, by name.

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

    @property
    def _name(self) -> str:
        return f"{self.kind} message {self.subject!r}"

    def _quantised(self) -> tuple[dict[str, NDArray[Any]], dict[str, dict[str, Any]]]:
        # safetensors reads memory from the first byte on, whatever the strides say.
        tensors = {name: np.asarray(array, order="C") for name, array in self.arrays.items()}
        ranges: dict[str, dict[str, Any]] = {}
        for name, array in self.arrays.items():
            if not self.bits or array.dtype != np.float32:
                continue
            try:
                packed = pack(array, self.bits)
            except ValueError as error:
                raise MessageError(f"{self._name}: array {name!r}: {error}") from error
            tensors[name] = packed.data
            ranges[name] = {"shape": list(packed.shape), "low": packed.low, "high": packed.high}
        return tensors, ranges

    def _saved(self, tensors: dict[str, NDArray[Any]]) -> bytes:
        try:
            return safetensors.save(tensors)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            types = {name: str(array.dtype) for name, array in tensors.items()}
            raise MessageError(f"{self._name}: {types} cannot be sent: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A serialised message on its way.

    Attributes:
        sender: Name of a node, or the conductor.
        receiver: Name of a node.
        payload: The serialised message; its length is what a link has to carry [B].
        kind: Of the message.
        raw_samples: Local samples of the sender inside.
        raw_bytes: Their size as 32-bit floats [B].
    """

    sender: str
    receiver: str
    payload: bytes = field(repr=False)
    kind: Kind
    raw_samples: int = 0
    raw_bytes: int = 0

    @classmethod
    def pack(
        cls, sender: str, receivers: Sequence[str], message: Message, *, raw: bool = False
    ) -> list[Self]:
        """Serialise a message once, for one or more receivers.

        Args:
            sender: Name of a node, or the conductor.
            receivers: Names of nodes.
            message: What they are told.
            raw: Whether the message's arrays are the sender's own samples; the first axis counts
                them.
        """
        payload = message.to_bytes()
        arrays = tuple(message.arrays.values()) if raw else ()
        return [
            cls(
                sender=sender,
                receiver=receiver,
                payload=payload,
                kind=message.kind,
                raw_samples=max((len(array) for array in arrays), default=0),
                raw_bytes=_FLOAT32_BYTES * sum(array.size for array in arrays),
            )
            for receiver in receivers
        ]


def _json(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _canonical(entries: Mapping[str, Any], payload: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(_json(entries))
    digest.update(payload)
    return _json({**entries, "sha256": digest.hexdigest()})


def _opened(message: bytes) -> tuple[_Header, bytes]:
    """Return header and payload of a message that arrived as it was sent."""
    if message[: len(_MAGIC)] != _MAGIC:
        raise MessageError(f"not a message: starts with {message[: len(_MAGIC)]!r}, not {_MAGIC!r}")
    if len(message) < _HEADER_STARTS:
        raise MessageError(f"truncated message: {len(message)} bytes")
    length = int.from_bytes(message[len(_MAGIC) : _HEADER_STARTS], "little")
    raw = message[_HEADER_STARTS : _HEADER_STARTS + length]
    if len(raw) < length:
        raise MessageError(f"truncated message: {len(raw)} of {length} bytes of the header")
    entries = _parsed(raw)
    payload = message[_HEADER_STARTS + length :]
    _check_size(entries, payload)
    _check_hash(entries, raw, payload)
    try:
        return _Header.model_validate(entries), payload
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise MessageError(f"malformed header: {where}: {problem['msg']}") from error


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"malformed header: {error}") from error
    if not isinstance(entries, dict):
        raise MessageError("malformed header: not a JSON object")
    version = entries.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise MessageError(f"schema version {version!r}, this node reads {SCHEMA_VERSION}")
    return entries


def _check_size(entries: Mapping[str, Any], payload: bytes) -> None:
    size = entries.get("payload_bytes")
    if size != len(payload):
        state = "truncated" if isinstance(size, int) and size > len(payload) else "malformed"
        raise MessageError(f"{state} message: {len(payload)} bytes of payload, header says {size}")


def _check_hash(entries: dict[str, Any], raw: bytes, payload: bytes) -> None:
    """Compare with the header that the same entries and payload give.

    The whole header is compared, so that no byte of it can change, not even one that means the
    same to a JSON parser.
    """
    said = entries.pop("sha256", None)
    try:
        expected = _canonical(entries, payload)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"malformed header: {error}") from error
    if raw != expected:
        raise MessageError(f"damaged message: sha256 {said} does not fit its contents")


def _loaded(payload: bytes) -> dict[str, NDArray[Any]]:
    try:
        return dict(safetensors.load(payload))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise MessageError(f"malformed payload: {error}") from error


def _restored(header: _Header, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with quantised ones unpacked."""
    plain = {name for name, array in tensors.items() if array.dtype == np.float32}
    if (header.quantised and not header.bits) or (header.bits and plain):
        raise MessageError(f"arrays do not match the header: {header.bits} bits per number")
    if absent := sorted(header.quantised.keys() - tensors.keys()):
        raise MessageError(f"arrays do not match the header: {absent} are not in the payload")
    for name, said in header.quantised.items():
        if not 0 <= said.high - said.low <= _LARGEST:
            raise MessageError(f"array {name!r}: impossible range {said.low} to {said.high}")
        packed = Packed(shape=tuple(said.shape), low=said.low, high=said.high, data=tensors[name])
        try:
            tensors[name] = unpack(packed, header.bits)
        except ValueError as error:
            raise MessageError(f"array {name!r} does not match the header: {error}") from error
    return tensors
