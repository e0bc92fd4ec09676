"""Numbers of 1 to 16 bits: uniform quantisation and bit packing, without torch.

The quantiser equals `csi_feedback.methods.ip_encoder_kd.pairs.quantise` step by step in float32, so
that a number has the same value whether it was only rounded or also sent.
"""

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

MAX_BITS = 16

MAX_MAGNITUDE = float(np.finfo(np.float32).max) / 4
"""Largest magnitude that can be quantised, so that neither range nor rounding overflows."""

_CHUNK = 1 << 16
"""Numbers packed at once, which bounds the memory for unpacked bits. A multiple of 8: every chunk
but the last fills its bytes."""


class Range(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """Original shape and end points of a quantised array.

    Attributes:
        low: Smallest value, the level of code 0.
        high: Largest value, the level of code ``2**bits - 1``.
    """

    shape: tuple[Annotated[int, Field(ge=0)], ...] = Field(strict=False)
    low: float = Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE)
    high: float = Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE)


def packed_bytes(count: int, bits: int) -> int:
    """Return the bytes of ``count`` numbers of ``bits`` bits, rounded up."""
    return (count * bits + 7) // 8


def pack(values: NDArray[np.float32], bits: int) -> tuple[Range, NDArray[np.uint8]]:
    """Quantise to ``2**bits`` levels, evenly spaced from the smallest to the largest value.

    The error of a number is at most half a step, up to float32 rounding. Returns the codes in
    order, most significant bit first, without gaps.

    Raises:
        ValueError: If values are NaN, infinite or beyond `MAX_MAGNITUDE`.
    """
    if values.size == 0:
        return Range(shape=values.shape, low=0.0, high=0.0), np.zeros(0, np.uint8)
    low, high = values.min(), values.max()
    if not max(-float(low), float(high)) <= MAX_MAGNITUDE:  # also false for NaN
        raise ValueError(f"values from {low} to {high} cannot be quantised")
    step = _step(low, high, bits)
    # a constant array has step 0 and codes 0
    codes = np.zeros(values.shape, np.float32) if step == 0 else np.rint((values - low) / step)
    # steps below 1e-38 are inexact enough to leave the range
    whole = np.minimum(codes, 2**bits - 1, out=codes).astype(np.uint16)
    span = Range(shape=values.shape, low=float(low), high=float(high))
    return span, _pack(whole.ravel(), bits)


def unpack(span: Range, data: NDArray[Any], bits: int) -> NDArray[np.float32]:
    """Return the levels of the codes, in the original shape.

    Raises:
        ValueError: If the length of the data does not match shape and bits.
    """
    count = math.prod(span.shape)
    if data.dtype != np.uint8 or data.shape != (packed_bytes(count, bits),):
        wanted = packed_bytes(count, bits)
        raise ValueError(
            f"{data.dtype} of shape {data.shape}, expected {wanted} bytes for {count} numbers"
        )
    low, high = np.float32(span.low), np.float32(span.high)
    values = _unpack(data, count, bits).astype(np.float32)
    values *= _step(low, high, bits)
    values += low
    return values.reshape(span.shape)


def _step(low: np.float32, high: np.float32, bits: int) -> np.float32:
    return np.float32((high - low) / np.float32(2**bits - 1))


def _pack(codes: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return codes.astype(np.uint8)
    octets = codes.astype(">u2").view(np.uint8).reshape(-1, 2)
    if bits == MAX_BITS:
        return octets.ravel()
    chunks = [
        np.packbits(np.unpackbits(octets[start : start + _CHUNK], axis=1)[:, MAX_BITS - bits :])
        for start in range(0, len(octets), _CHUNK)
    ]
    return np.concatenate(chunks)


def _unpack(data: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.uint16]:
    if bits == 8:
        return data.astype(np.uint16)
    if bits == MAX_BITS:
        return data.view(">u2").astype(np.uint16)
    codes = np.empty(count, np.uint16)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        first = start * bits // 8
        used = np.unpackbits(data[first : first + packed_bytes(size, bits)], count=size * bits)
        digits = np.zeros((size, MAX_BITS), np.uint8)
        digits[:, MAX_BITS - bits :] = used.reshape(size, bits)
        codes[start : start + size] = np.packbits(digits, axis=1).view(">u2").ravel()
    return codes
