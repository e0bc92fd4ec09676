"""Means over seeds with Student-t intervals, and what paired differences say about a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the half-width of its 95 % confidence interval.

    Attributes:
        mean: Arithmetic mean over the seeds.
        half_width: Half-width of the interval; None for a single seed, which has none.
        count: How many seeds went in.
    """

    mean: float
    half_width: float | None
    count: int

    @property
    def low(self) -> float | None:
        """Lower end, None if there is no interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end, None if there is no interval."""
        return None if self.half_width is None else self.mean + self.half_width


class Verdict(StrEnum):
    """What the measurements say about a claim, from strongest to nothing."""

    HOLDS = "holds"
    ON_AVERAGE = "holds on average, interval includes 0"
    ONE_SEED = "holds in one seed, no interval"
    DOES_NOT_HOLD = "does not hold"
    NOT_MEASURED = "not measured"


def mean_interval(values: Sequence[float]) -> Interval:
    r"""Return the mean and its two-sided 95 % Student-t interval.

    .. math:: \bar x \pm t_{0.975,\,n-1}\, s / \sqrt{n}, \qquad
              s^2 = \tfrac{1}{n-1}\sum_i (x_i - \bar x)^2

    Args:
        values: One finite number per seed, independent of each other.

    Raises:
        ValueError: If there are no values or one is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"a mean needs finite values, got {list(values)}")
    count = int(sample.size)
    mean = float(sample.mean())
    if count == 1:
        return Interval(mean, None, 1)
    error = float(sample.std(ddof=1)) / np.sqrt(count)
    quantile = float(special.stdtrit(count - 1, 0.5 + CONFIDENCE / 2.0))
    return Interval(mean, float(quantile * error), count)


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """Return the interval of ``first - second`` over the seeds that both have.

    Pairing removes what the seeds share (data order, initialisation), so that a small difference
    shows with few seeds.

    Args:
        first: Value by seed.
        second: Value by seed.

    Returns:
        The interval, or None if the two share no seed.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    return mean_interval([first[seed] - second[seed] for seed in shared])


def judge(gain: Interval, *, strict: bool) -> Verdict:
    """Return what a measured gain says about the claim "the first is better than the second".

    Args:
        gain: Interval of the paired difference, signed so that positive supports the claim.
        strict: Whether the claim is "better"; otherwise it is "at least as good", which a gain of
            exactly 0 supports.
    """
    supported = gain.mean > 0.0 or (not strict and gain.mean == 0.0)
    if not supported:
        return Verdict.DOES_NOT_HOLD
    if gain.half_width is None:
        return Verdict.ONE_SEED
    low = gain.mean - gain.half_width
    if low > 0.0 or (not strict and gain.mean == gain.half_width == 0.0):
        return Verdict.HOLDS
    return Verdict.ON_AVERAGE


def weakest(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a chain of claims: that of its weakest link."""
    order = (
        Verdict.DOES_NOT_HOLD,
        Verdict.NOT_MEASURED,
        Verdict.ONE_SEED,
        Verdict.ON_AVERAGE,
        Verdict.HOLDS,
    )
    return min(verdicts, key=order.index)
