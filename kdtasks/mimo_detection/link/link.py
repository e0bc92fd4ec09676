r"""An uncoded MIMO link: streams, antennas, pilots, noise, and what a detector gets of them.

.. math:: y = H x + n, \qquad Y_p = H P + N_p, \qquad \hat H = Y_p P^{\mathsf H} / T

Symbols have power 1, n is CN(0, sigma^2) per receive antenna, and the SNR is that of a receive
antenna: sigma^2 = S / 10^(SNR/10). Pilots P are T = S rows of a DFT matrix with the power of data,
so the least-squares estimate has errors CN(0, sigma^2 / T), independent of each other. The
detector gets y, the estimate and the true sigma^2, and does not know H.

With the error E of the estimate a detector has to explain y by the estimate it holds:

.. math:: y = \hat H x + (n - E x), \qquad \operatorname{cov}(n - E x) =
          \sigma^2 \Bigl(1 + \frac{\lVert x \rVert^2}{T}\Bigr) I

so it faces noise of variance sigma^2 (1 + S / T) for symbols of power 1, exactly for QPSK and on
average for 16-QAM; where pilots have power p, their energy T p stands for T. With T = S that is
2 sigma^2, with a channel that is known (T infinite) sigma^2. See Hassibi and Hochwald, "How much
training is needed in multiple-antenna wireless links?" (2003). A detector that knows the law of
the channel can do better still: the error then depends on the estimate.

Shape suffixes in this file: B = channel uses, R = receive antennas, S = streams, T = pilots,
N = 2 S real streams, M = bits per real stream.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdtasks.contract.errors import ConfigError
from kdtasks.mimo_detection.link.channels import (
    DRAWN_BY_SIONNA,
    ChannelLaw,
    circular,
    draw_channels,
)
from kdtasks.mimo_detection.link.symbols import BITS_PER_AXIS, Modulation, draw_bits, modulate

MAX_ANTENNAS = 16

ChannelSource = Callable[[int, torch.Generator], Tensor]
"""Draws so many channel matrices, shape [B, R, S]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MimoLink:
    """What sort of link it is.

    Attributes:
        streams: Transmit antennas, each with a stream of its own.
        receivers: Receive antennas; at least as many.
        modulation: Of every stream.
        law: Of the channel.
    """

    streams: int
    receivers: int
    modulation: Modulation
    law: ChannelLaw

    @classmethod
    def parse(cls, text: str) -> "MimoLink":
        """Read a link such as ``4x8 qpsk kronecker-0.5``: streams x receive antennas, and so on.

        Raises:
            ConfigError: Naming the part that is wrong.
        """
        words = text.lower().split()
        if len(words) != 3:
            raise ConfigError(
                f"link {text!r} must read like '4x4 qpsk rayleigh': streams x receive antennas, "
                "modulation, channel"
            )
        antennas = re.fullmatch(r"([0-9]{1,2})x([0-9]{1,2})", words[0])
        streams, receivers = map(int, antennas.groups()) if antennas else (0, 0)
        if not 1 <= streams <= receivers <= MAX_ANTENNAS:
            raise ConfigError(
                f"link {text!r}: {words[0]!r} must be streams x receive antennas, at least as many "
                f"of these and at most {MAX_ANTENNAS}, such as 4x8"
            )
        modulation = words[1]
        if modulation not in BITS_PER_AXIS:
            raise ConfigError(
                f"link {text!r}: {words[1]!r} must be one of {', '.join(BITS_PER_AXIS)}"
            )
        return cls(
            streams=streams,
            receivers=receivers,
            modulation=modulation,  # type: ignore[arg-type]  # a key of BITS_PER_AXIS
            law=ChannelLaw.parse(words[2]),
        )

    @property
    def name(self) -> str:
        """The link as `parse` reads it, in one spelling."""
        return f"{self.streams}x{self.receivers} {self.modulation} {self.law.name}"

    @property
    def bits_per_axis(self) -> int:
        """Bits per real stream."""
        return BITS_PER_AXIS[self.modulation]

    @property
    def drawn_by_sionna(self) -> bool:
        """Whether channels come from a pool that Sionna has drawn."""
        return self.law.kind in DRAWN_BY_SIONNA


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """Channel uses as a detector sees them, and what was sent.

    Attributes:
        received_BR: What antennas received, complex.
        estimate_BRS: Least-squares estimate of the channels, complex.
        noise_B: True variance of the noise per receive antenna.
        bits_BNM: What was sent, see `kdtasks.mimo_detection.link.symbols`.
        pilot_energy: Of the pilots of a stream, over that of a symbol; infinite where the channel
            is known.
    """

    received_BR: Tensor
    estimate_BRS: Tensor
    noise_B: Tensor
    bits_BNM: Tensor
    pilot_energy: float

    def __len__(self) -> int:
        return len(self.noise_B)

    @property
    def effective_noise(self) -> Tensor:
        """Variance of noise and error of the estimate together, per receive antenna, [B]."""
        return self.noise_B * (1.0 + self.estimate_BRS.shape[-1] / self.pilot_energy)

    def __getitem__(self, chosen: slice | Tensor) -> "Received":
        """Return some of the channel uses."""
        return replace(
            self,
            received_BR=self.received_BR[chosen],
            estimate_BRS=self.estimate_BRS[chosen],
            noise_B=self.noise_B[chosen],
            bits_BNM=self.bits_BNM[chosen],
        )


def together(parts: Sequence[Received]) -> Received:
    """Return channel uses of one kind of link one after the other."""
    return replace(
        parts[0],
        received_BR=torch.cat([part.received_BR for part in parts]),
        estimate_BRS=torch.cat([part.estimate_BRS for part in parts]),
        noise_B=torch.cat([part.noise_B for part in parts]),
        bits_BNM=torch.cat([part.bits_BNM for part in parts]),
    )


def with_perfect_csi(seen: Received, channel_BRS: Tensor) -> Received:
    """Return the same channel uses with the channels known."""
    return replace(seen, estimate_BRS=channel_BRS, pilot_energy=math.inf)


def noise_variance(streams: int, snr_db: Tensor) -> Tensor:
    """Return the variance of the noise per receive antenna at an SNR [dB]."""
    return streams / 10.0 ** (snr_db / 10.0)


def pilots(streams: int) -> Tensor:
    """Return orthogonal pilot sequences of power 1, rows of a DFT matrix, shape [S, T = S]."""
    places = torch.arange(streams)
    phases_ST = -2.0 * math.pi * places[:, None] * places[None, :] / streams
    return torch.polar(torch.ones_like(phases_ST), phases_ST)


def least_squares(channel_BRS: Tensor, noise_B: Tensor, generator: torch.Generator) -> Tensor:
    """Send pilots over channels and return the least-squares estimates, shape [B, R, S]."""
    uses, receivers, streams = channel_BRS.shape
    sent_ST = pilots(streams)
    noise_BRT = circular((uses, receivers, streams), generator)
    received_BRT = channel_BRS @ sent_ST + noise_B.sqrt()[:, None, None] * noise_BRT
    return received_BRT @ sent_ST.mH / streams


def from_law(link: MimoLink) -> ChannelSource:
    """Return a source of ever new channels of a link that needs no Sionna."""

    def draw(count: int, generator: torch.Generator) -> Tensor:
        return draw_channels(link.law, (count, link.receivers, link.streams), generator)

    return draw


def from_pool(pool_PRS: Tensor) -> ChannelSource:
    """Return a source that picks channels out of a pool, some of them more than once."""

    def draw(count: int, generator: torch.Generator) -> Tensor:
        return pool_PRS[torch.randint(len(pool_PRS), (count,), generator=generator)]

    return draw


def transmit(
    link: MimoLink, channel_BRS: Tensor, snr_db: tuple[float, float], generator: torch.Generator
) -> Received:
    """Send pilots and one random symbol per stream over each channel.

    Args:
        link: What is sent.
        channel_BRS: The channels.
        snr_db: Each channel use has an SNR of its own, uniform between these two [dB].
        generator: Draws SNRs, pilots' noise, bits and noise, in this order.
    """
    uses, receivers, streams = channel_BRS.shape
    low, high = snr_db
    noise_B = noise_variance(streams, low + (high - low) * torch.rand(uses, generator=generator))
    estimate_BRS = least_squares(channel_BRS, noise_B, generator)
    bits_BNM = draw_bits((uses, 2 * streams, link.bits_per_axis), generator)
    noise_BR = noise_B.sqrt()[:, None] * circular((uses, receivers), generator)
    clean_BR = (channel_BRS @ modulate(bits_BNM)[..., None])[..., 0]
    return Received(
        received_BR=clean_BR + noise_BR,
        estimate_BRS=estimate_BRS,
        noise_B=noise_B,
        bits_BNM=bits_BNM,
        pilot_energy=float(streams),
    )
