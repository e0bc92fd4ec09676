"""Bit error ratios as counts of errors and bits: they merge exactly and know their interval."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

Z95 = 1.959963984540054
"""Two-sided 95 % point of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class BitErrors:
    """Errors among bits; ``+`` is associative and commutative.

    Attributes:
        errors: Bits that were decided wrongly.
        bits: Bits that were decided.
    """

    errors: int = 0
    bits: int = 0

    def __add__(self, other: "BitErrors") -> "BitErrors":
        return BitErrors(self.errors + other.errors, self.bits + other.bits)

    @property
    def ratio(self) -> float:
        """Bit error ratio (BER).

        Raises:
            ValueError: If nothing was counted.
        """
        if self.bits == 0:
            raise ValueError("the error ratio of no bits is undefined")
        return self.errors / self.bits

    def wilson(self, z: float = Z95) -> tuple[float, float]:
        r"""Return the ends of the score interval of the BER.

        .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

        with p errors per bit in n bits: Wilson (1927), "Probable inference, the law of succession,
        and statistical inference". It takes bits as independent. Bits of one channel use are not
        quite, so for few channels with many bits each it is somewhat too narrow.

        Args:
            z: Half width in standard deviations; 95 % by default.
        """
        n, p = self.bits, self.ratio
        middle = p + z**2 / (2 * n)
        half = z * math.sqrt(p * (1.0 - p) / n + z**2 / (4 * n**2))
        scale = 1.0 + z**2 / n
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def compare(decided: Tensor, sent: Tensor) -> BitErrors:
    """Count where two tensors of bits of one shape differ."""
    assert decided.shape == sent.shape, (decided.shape, sent.shape)
    return BitErrors(int((decided != sent).sum()), sent.numel())


def counted(parts: Iterable[BitErrors], *, stop_at: int = 0) -> BitErrors:
    """Add up counts until there are enough errors.

    The relative standard error of a BER is about one over the root of its errors, whatever the
    BER, so counting on beyond some number of them gains nothing.

    Args:
        parts: Counts of one batch after the other; taken only as far as they are needed.
        stop_at: Errors at which to stop; 0 takes all parts.
    """
    total = BitErrors()
    for part in parts:
        total += part
        if 0 < stop_at <= total.errors:
            break
    return total
