r"""Bits, symbols and streams of a MIMO link, complex and real.

A complex symbol is two real ones, its real and its imaginary part, and these are what detectors
here decide on: of S complex streams the first S real streams are the real parts, the next S the
imaginary ones. Each carries one bit (QPSK) or two (16-QAM):

.. math:: x = (1 - 2 b_0) / \sqrt 2, \qquad x = (1 - 2 b_0) (1 + 2 b_1) / \sqrt{10}

the Gray mappings of 3GPP TS 38.211, Sections 5.1.3 and 5.1.4, in which E|x|^2 = 1 of a complex
symbol; :math:`b_0` is the sign, :math:`b_1` distinguishes the outer level from the inner one.

Shape suffixes in this file: B = channel uses, S = complex streams, N = 2 S real streams, M = bits
per real stream, R = receive antennas.
"""

import math
from typing import Literal

import torch
from torch import Tensor

Modulation = Literal["qpsk", "16qam"]

BITS_PER_AXIS: dict[str, int] = {"qpsk": 1, "16qam": 2}
"""Bits that a real stream carries."""

SIGN, OUTER = 0, 1
"""Which bit is which."""

OUTER_THRESHOLD = 2.0 / math.sqrt(10.0)
"""Half-way between inner and outer level of 16-QAM, in units of a complex symbol of power 1."""


def draw_bits(shape_BNM: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Return equally likely bits, shape [B, N, M], uint8."""
    return torch.randint(0, 2, shape_BNM, dtype=torch.uint8, generator=generator)


def modulate(bits_BNM: Tensor) -> Tensor:
    """Return complex symbols of mean power 1, shape [B, S]."""
    signs_BN = 1.0 - 2.0 * bits_BNM[..., SIGN]
    if bits_BNM.shape[-1] == 1:
        return to_complex(signs_BN / math.sqrt(2.0))
    return to_complex(signs_BN * (1.0 + 2.0 * bits_BNM[..., OUTER]) / math.sqrt(10.0))


def decide(estimates_BS: Tensor, bits_per_axis: int) -> Tensor:
    """Return the bits of the nearest symbols, shape [B, N, M], uint8.

    Args:
        estimates_BS: Complex estimates of symbols, without bias.
        bits_per_axis: 1 for QPSK, 2 for 16-QAM.
    """
    x_BN = to_real(estimates_BS)
    bits = [x_BN < 0.0]
    if bits_per_axis == 2:
        bits.append(x_BN.abs() > OUTER_THRESHOLD)
    return torch.stack(bits, dim=-1).to(torch.uint8)


def to_complex(real_BN: Tensor) -> Tensor:
    """Return complex streams of real ones, shape [B, S]."""
    half = real_BN.shape[-1] // 2
    return torch.complex(real_BN[..., :half], real_BN[..., half:])


def to_real(complex_BS: Tensor) -> Tensor:
    """Return real streams of complex ones, shape [B, N]."""
    return torch.cat([complex_BS.real, complex_BS.imag], dim=-1)


def real_channel(channel_BRS: Tensor) -> Tensor:
    """Return the real form of complex channels, [[Re, -Im], [Im, Re]], shape [B, 2 R, N]."""
    upper = torch.cat([channel_BRS.real, -channel_BRS.imag], dim=-1)
    lower = torch.cat([channel_BRS.imag, channel_BRS.real], dim=-1)
    return torch.cat([upper, lower], dim=-2)
