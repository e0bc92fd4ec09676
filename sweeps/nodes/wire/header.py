"""The bytes of a message: a sealed header in front of a payload.

    magic (4 bytes) | length of the header (4 bytes, little-endian) | header | payload

The header is canonical JSON: sorted keys, no blanks, ASCII. Its ``sha256`` covers the header
without that entry and the payload. Every header has exactly one encoding, so that a receiver
detects any changed byte.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kdtasks.contract.errors import UserError
from sweeps.nodes.wire.quantisation import MAX_BITS, MAX_MAGNITUDE

SCHEMA_VERSION = 1
_MAGIC = b"KDSM"
_LENGTH_BYTES = 4
_HEADER_STARTS = len(_MAGIC) + _LENGTH_BYTES


class MessageError(UserError):
    """A message cannot be sent, or a received one was rejected without using any of it."""


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Range(_Checked):
    """Original shape and end points of a quantised array; the payload holds its codes."""

    shape: tuple[Annotated[int, Field(ge=0)], ...] = Field(strict=False)
    low: float = Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE)
    high: float = Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE)


class Header(_Checked):
    """The entries in front of the payload, except the hash; `Message` explains them."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    subject: str
    deployment: str
    facts: dict[str, Any]
    bits: int = Field(ge=0, le=MAX_BITS)
    quantised: dict[str, Range]
    payload_bytes: int = Field(ge=0)


def sealed(entries: Mapping[str, Any], payload: bytes) -> bytes:
    """Encode header and payload; ``entries`` are those of `Header` without version and size.

    Raises:
        MessageError: If an entry is of the wrong type or not JSON.
    """
    header = _validated({**entries, "payload_bytes": len(payload)})
    try:
        raw = _written(header.model_dump(), payload)
    except (TypeError, ValueError) as error:
        raise MessageError(f"facts must be JSON: {error}") from error
    return b"".join((_MAGIC, len(raw).to_bytes(_LENGTH_BYTES, "little"), raw, payload))


def opened(message: bytes) -> tuple[Header, bytes]:
    """Return header and payload of a message that arrived unchanged.

    Raises:
        MessageError: If it was changed, or has another version, which the message names.
    """
    if message[: len(_MAGIC)] != _MAGIC:
        raise MessageError(f"not a message: starts with {message[: len(_MAGIC)]!r}, not {_MAGIC!r}")
    if len(message) < _HEADER_STARTS:
        raise MessageError(f"truncated message: {len(message)} bytes")
    length = int.from_bytes(message[len(_MAGIC) : _HEADER_STARTS], "little")
    raw = message[_HEADER_STARTS : _HEADER_STARTS + length]
    if len(raw) < length:
        raise MessageError(f"truncated message: {len(raw)} of {length} bytes of the header")
    payload = message[_HEADER_STARTS + length :]
    entries = _parsed(raw)
    _check_size(entries, payload)
    _check_hash(entries, raw, payload)
    return _validated(entries), payload


def _json(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _written(entries: Mapping[str, Any], payload: bytes) -> bytes:
    digest = hashlib.sha256(_json(entries))
    digest.update(payload)
    return _json({**entries, "sha256": digest.hexdigest()})


def _validated(entries: Mapping[str, Any]) -> Header:
    try:
        return Header.model_validate(entries)
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
    declared = entries.get("payload_bytes")
    if declared != len(payload):
        short = isinstance(declared, int) and len(payload) < declared
        problem = "truncated message" if short else "malformed message"
        raise MessageError(f"{problem}: {len(payload)} bytes, payload_bytes is {declared}")


def _check_hash(entries: dict[str, Any], raw: bytes, payload: bytes) -> None:
    # The whole header is compared, not only its hash: a changed blank or escape means
    # the same to a JSON parser.
    sha256 = entries.pop("sha256", None)
    try:
        expected = _written(entries, payload)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"malformed header: {error}") from error
    if raw != expected:
        raise MessageError(f"damaged message: its sha256 {sha256} does not match its contents")
