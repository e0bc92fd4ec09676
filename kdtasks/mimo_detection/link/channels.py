r"""Laws of narrow-band MIMO channels; every entry has mean power 1.

Shape suffixes in this file: B = channel uses, R = receive antennas, S = streams, one per transmit
antenna.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdtasks.contract.errors import ConfigError

Kind = Literal["rayleigh", "kronecker", "rician", "cdl", "tdl"]

DRAWN_BY_SIONNA = ("cdl", "tdl")
"""Laws of 3GPP TR 38.901, see `kdtasks.mimo_detection.link.tr38901`."""

LAWS = "rayleigh, kronecker-RHO, rician-DB, cdl-A to cdl-E, tdl-A to tdl-E"


@dataclass(frozen=True, slots=True)
class ChannelLaw:
    """What a channel matrix is drawn from.

    Attributes:
        kind: ``rayleigh``: independent CN(0, 1) entries. ``kronecker``: correlated on both sides.
            ``rician``: a plane wave between two linear arrays, plus Rayleigh. ``cdl``, ``tdl``:
            clustered and tapped delay lines of TR 38.901.
        value: Correlation of neighbouring antennas in [0, 1), or the Rician factor [dB].
        profile: Letter of the delay line, in capitals.
    """

    kind: Kind
    value: float = 0.0
    profile: str = ""

    @classmethod
    def parse(cls, text: str) -> "ChannelLaw":
        """Read a law such as ``kronecker-0.6``, ``rician-6`` or ``cdl-A``.

        Raises:
            ConfigError: Saying what there is.
        """
        kind, _, rest = text.lower().partition("-")
        if kind == "rayleigh" and not rest:
            return cls("rayleigh")
        if kind in ("cdl", "tdl") and re.fullmatch("[a-e]", rest):
            return cls(kind, profile=rest.upper())  # type: ignore[arg-type]  # narrowed by `in`
        number = float(rest) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", rest) else math.nan
        if kind == "kronecker" and 0.0 <= number < 1.0:
            return cls("kronecker", number)
        if kind == "rician" and -30.0 <= number <= 30.0:
            return cls("rician", number)
        raise ConfigError(
            f"channel {text!r} must be one of {LAWS}; RHO lies in [0, 1), DB in [-30, 30]"
        )

    @property
    def name(self) -> str:
        """The law as `parse` reads it."""
        if self.profile:
            return f"{self.kind}-{self.profile}"
        return self.kind if self.kind == "rayleigh" else f"{self.kind}-{self.value:g}"


def draw_channels(
    law: ChannelLaw, shape_BRS: tuple[int, int, int], generator: torch.Generator
) -> Tensor:
    """Return channel matrices of a law that needs no Sionna, shape [B, R, S], complex64."""
    assert law.kind not in DRAWN_BY_SIONNA
    scattered_BRS = circular(shape_BRS, generator)
    if law.kind == "kronecker":
        return correlated(scattered_BRS, law.value)
    if law.kind == "rician":
        factor = 10.0 ** (law.value / 10.0)
        direct_BRS = _plane_waves(shape_BRS, generator)
        return (math.sqrt(factor) * direct_BRS + scattered_BRS) / math.sqrt(factor + 1.0)
    return scattered_BRS


def circular(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return independent CN(0, 1) numbers: the variance of a real part is 1/2."""
    return torch.randn(shape, dtype=torch.complex64, generator=generator)


def correlated(scattered_BRS: Tensor, rho: float) -> Tensor:
    r"""Correlate antennas of both sides exponentially.

    .. math:: H = L_R H_w L_S^{\mathsf T}, \qquad (L L^{\mathsf T})_{ij} = \rho^{|i - j|}

    The Kronecker model with the same correlation of neighbours at both ends: Loyka (2001),
    "Channel capacity of MIMO architecture using the exponential correlation matrix".

    Args:
        scattered_BRS: Independent entries H_w.
        rho: Correlation of neighbours, in [0, 1).
    """
    receive_RR, stream_SS = (
        torch.linalg.cholesky(exponential(size, rho)).to(scattered_BRS.dtype)
        for size in scattered_BRS.shape[1:]
    )
    correlated_BRS: Tensor = receive_RR @ scattered_BRS @ stream_SS.mT
    return correlated_BRS


def exponential(size: int, rho: float) -> Tensor:
    """Return the correlation matrix with entries rho^|i - j|."""
    places = torch.arange(size)
    distance = (places[:, None] - places[None, :]).abs().to(torch.get_default_dtype())
    powers: Tensor = torch.pow(rho, distance)
    return powers


def _plane_waves(shape_BRS: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Return a(theta) a(phi)^T of half-wavelength arrays, all angles uniform over a half circle."""
    uses, receivers, streams = shape_BRS
    angles_2B = math.pi * (torch.rand(2, uses, generator=generator) - 0.5)
    arriving_BR = _steering(angles_2B[0], receivers)
    leaving_BS = _steering(angles_2B[1], streams)
    phase_B = 2.0 * math.pi * torch.rand(uses, generator=generator)
    start_B11 = torch.polar(torch.ones(uses), phase_B)[:, None, None]
    return start_B11 * arriving_BR[:, :, None] * leaving_BS[:, None, :]


def _steering(angle_B: Tensor, antennas: int) -> Tensor:
    phases_BA = math.pi * torch.sin(angle_B)[:, None] * torch.arange(antennas)
    return torch.polar(torch.ones_like(phases_BA), phases_BA)
