"""The radio link between two nodes: time, energy and lost packets, all simulated."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Transmission:
    """The cost of a transmission.

    Attributes:
        sent_bytes: Bytes sent, including lost packets [B].
        lost_bytes: Bytes in lost packets [B].
        seconds: Simulated time until the last packet has arrived [s].
        joule: Energy [J].
    """

    sent_bytes: int
    lost_bytes: int
    seconds: float
    joule: float


@dataclass(frozen=True, slots=True)
class Link:
    """A link that loses packets independently and resends them until they arrive.

    `NetworkSettings` has checked the range of each value.

    Attributes:
        rate_bps: Data rate while sending [bit/s].
        delay_s: From the last bit sent to the last bit received [s].
        loss: Probability that a packet is lost, each time it is sent.
        energy_j_per_bit: Energy per sent bit, lost or not [J/bit].
        packet_bytes: Size of a full packet [B].
    """

    rate_bps: float
    delay_s: float
    loss: float
    energy_j_per_bit: float
    packet_bytes: int = 1500

    def transmit(self, size: int, rng: np.random.Generator) -> Transmission:
        """Send ``size`` bytes.

        A packet arrives at the n-th attempt with probability ``(1 - loss) loss**(n - 1)``, so that
        on average ``size / (1 - loss)`` bytes are sent.
        """
        lost = self._lost_bytes(size, rng) if self.loss > 0 else 0
        sent_bits = 8 * (size + lost)
        return Transmission(
            sent_bytes=size + lost,
            lost_bytes=lost,
            seconds=self.delay_s + sent_bits / self.rate_bps,
            joule=sent_bits * self.energy_j_per_bit,
        )

    def _lost_bytes(self, size: int, rng: np.random.Generator) -> int:
        full, last = divmod(size, self.packet_bytes)
        arrives = 1 - self.loss
        # Losses until n packets have arrived are negative binomial; of one packet, geometric.
        lost_full = int(rng.negative_binomial(full, arrives)) if full else 0
        lost_last = int(rng.geometric(arrives)) - 1 if last else 0
        return lost_full * self.packet_bytes + lost_last * last
