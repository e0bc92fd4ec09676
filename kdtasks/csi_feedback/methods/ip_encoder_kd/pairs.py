"""The pairs of CSI and codeword that base station and user equipment exchange, and their bytes.

Shape suffixes in this file: N = samples, A = antennas, C = subcarriers, M = codeword length.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FLOAT_BITS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """What crosses the air interface, as the receiver sees it.

    Attributes:
        pictures_N2AC: CSI pictures.
        codewords_NM: Codewords.
        payload_bytes: Size of the exchange, ranges of the quantiser included.
    """

    pictures_N2AC: Tensor
    codewords_NM: Tensor
    payload_bytes: int


def quantise(values: Tensor, bits: int) -> Tensor:
    """Uniform scalar quantisation to ``2**bits`` levels between the smallest and largest value.

    The error of an entry is at most half a step. The two end points are side information.

    Raises:
        ValueError: If ``bits`` is not in 1..16.
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"bits must be in 1..16, got {bits=}")
    low, high = values.min(), values.max()
    step = (high - low) / (2**bits - 1)
    if float(step) == 0.0:
        return values.clone()
    quantised: Tensor = low + torch.round((values - low) / step) * step
    return quantised


def send(pictures_N2AC: Tensor, codewords_NM: Tensor, *, bits: int) -> Pairs:
    """Send pairs with ``bits`` bits per number; 0 sends 32-bit floats as they are."""
    numbers = pictures_N2AC.numel() + codewords_NM.numel()
    if bits == 0:
        return Pairs(
            pictures_N2AC=pictures_N2AC,
            codewords_NM=codewords_NM,
            payload_bytes=numbers * FLOAT_BITS // 8,
        )
    ranges = 2 * 2 * FLOAT_BITS // 8  # low and high, of pictures and of codewords
    return Pairs(
        pictures_N2AC=quantise(pictures_N2AC, bits),
        codewords_NM=quantise(codewords_NM, bits),
        payload_bytes=(numbers * bits + 7) // 8 + ranges,
    )
