"""Metrics that merge: partial sums from any number of nodes add up to the exact total.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from kdtasks.contract.errors import DataError

PICTURE_ZERO = 0.5
"""Value of a picture where the channel is zero; removed before an NMSE is taken."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A mean kept as its sum and its count; ``+`` is associative and commutative."""

    total: float = 0.0
    count: int = 0

    def __add__(self, other: "Ratio") -> "Ratio":
        return Ratio(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float:
        """The mean.

        Raises:
            ValueError: If nothing was counted.
        """
        if self.count == 0:
            raise ValueError("the mean of no samples is undefined")
        return self.total / self.count

    @property
    def decibel(self) -> float:
        """``10 log10`` of the mean [dB]; minus infinity for a mean of zero."""
        return 10.0 * math.log10(self.value) if self.value > 0.0 else -math.inf


def relative_errors(picture_B2AC: Tensor, reconstruction_B2AC: Tensor) -> Tensor:
    r"""Squared error of each sample over its power, shape [B].

    .. math:: \|H - \hat H\|^2 / \|H\|^2, \quad H = \mathrm{picture} - 0.5

    Cui et al., eq. (12) before the expectation; the scale of the picture cancels.
    """
    error_B = (picture_B2AC - reconstruction_B2AC).square().flatten(1).sum(-1)
    return error_B / (picture_B2AC - PICTURE_ZERO).square().flatten(1).sum(-1)


def nmse(picture_B2AC: Tensor, reconstruction_B2AC: Tensor) -> Ratio:
    """Normalised mean squared error, Cui et al., eq. (12): the mean of ratios; dB comes last.

    Raises:
        DataError: If a picture has no power.
    """
    ratios_B = relative_errors(picture_B2AC, reconstruction_B2AC)
    total = float(ratios_B.double().sum())
    if not math.isfinite(total):
        raise DataError("NMSE is not finite: a sample without power, or a network that diverged")
    return Ratio(total, len(ratios_B))


def steps_below(curve: Mapping[int, float], level: float) -> float | None:
    """Return after how many steps a curve comes below a level, linear between where it was read.

    None if it never does.

    Args:
        curve: Values by number of steps; not empty.
        level: The level.
    """
    steps = sorted(curve)
    below = next((n for n in steps if curve[n] < level), None)
    if below is None or below == steps[0]:
        return below
    before = steps[steps.index(below) - 1]
    high, low = curve[before], curve[below]
    return before + (below - before) * (high - level) / (high - low)
