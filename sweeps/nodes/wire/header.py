"""The bytes of a message: a safetensors file, whose only metadata entry is the header.

The header is canonical JSON: sorted keys, no blanks, ASCII. It is one entry, because safetensors
writes several in any order. Its ``sha256`` covers the message with that field empty. Every message
has exactly one encoding, so that a receiver detects any changed byte.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from kdtasks.contract.errors import UserError
from sweeps.nodes.wire.quantisation import MAX_BITS, Range

ENTRY = "message"
"""Name of the header among the metadata."""
_LENGTH_BYTES = 8


class MessageError(UserError):
    """A message cannot be sent, or a received one was rejected without using any of it."""


class Header(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """The entries beside the arrays; `Message` explains them."""

    schema_version: Literal[2] = 2
    kind: str
    subject: str
    deployment: str
    facts: dict[str, Any]
    bits: int = Field(ge=0, le=MAX_BITS)
    quantised: dict[str, Range]
    sha256: str = ""


def sealed(entries: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """Encode a message; ``entries`` are those of `Header` without version and hash.

    Raises:
        MessageError: If an entry is of the wrong type or not JSON, or an array cannot be sent.
    """
    fields = _validated(entries).model_dump()
    digest = hashlib.sha256(_saved(fields | {"sha256": ""}, arrays)).hexdigest()
    return _saved(fields | {"sha256": digest}, arrays)


def opened(message: bytes) -> tuple[Header, dict[str, NDArray[Any]]]:
    """Return header and arrays of a message that arrived unchanged.

    Raises:
        MessageError: If it was changed, or has another version.
    """
    try:
        arrays = dict(safetensors.load(message))
        end = _LENGTH_BYTES + int.from_bytes(message[:_LENGTH_BYTES], "little")
        entries = json.loads(json.loads(message[_LENGTH_BYTES:end])["__metadata__"][ENTRY])
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"malformed message: {error}") from error
    header = _validated(entries)
    # all bytes are compared, not only hashes: a changed blank means the same to a JSON parser
    if sealed(entries, arrays) != message:
        raise MessageError(f"damaged message: its sha256 {header.sha256} does not match")
    return header, arrays


def _saved(fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    try:
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"facts must be JSON: {error}") from error
    try:
        return bytes(safetensors.save(arrays, metadata={ENTRY: text}))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        types = {name: str(array.dtype) for name, array in arrays.items()}
        raise MessageError(f"{types} cannot be sent: {error}") from error


def _validated(entries: Mapping[str, Any]) -> Header:
    try:
        return Header.model_validate(entries)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise MessageError(f"malformed header: {where}: {problem['msg']}") from error
