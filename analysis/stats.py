"""Means with Student-t intervals, verdicts on claims from differences, and Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

LEVEL = 0.05
"""Chance that an interval misses, and that any claim of a family is said to hold by chance."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the half-width of its 95 % confidence interval.

    Attributes:
        half_width: Half-width of the interval; None for a single seed, which has none.
        clusters: Into how many clusters they fall, the units if there are several.
    """

    mean: float
    half_width: float | None
    count: int
    clusters: int = 1

    @property
    def low(self) -> float | None:
        """Lower end, None if there is no interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end, None if there is no interval."""
        return None if self.half_width is None else self.mean + self.half_width

    @property
    def freedom(self) -> int:
        """Degrees of freedom: one less than there are units."""
        return (self.clusters if self.clusters > 1 else self.count) - 1

    def width_at(self, level: float) -> float | None:
        """Return the half-width of the interval that misses with chance ``level``."""
        if not self.half_width:
            return self.half_width
        return self.half_width * _quantile(self.freedom, level) / _quantile(self.freedom, LEVEL)


class Verdict(StrEnum):
    """Verdict of measurements on a claim, the strongest first."""

    HOLDS = "holds"
    ALONE = "holds alone, not after correction"
    ON_AVERAGE = "holds on average, interval includes 0"
    ONE_SEED = "holds in one seed, no interval"
    NOT_MEASURED = "not measured"
    DOES_NOT_HOLD = "does not hold"


def mean_interval(values: Sequence[float]) -> Interval:
    r"""Return the mean and its two-sided 95 % Student-t interval, of a finite number per seed.

    .. math:: \bar x \pm t_{0.975,\,n-1}\, s / \sqrt{n}, \qquad
              s^2 = \tfrac{1}{n-1}\sum_i (x_i - \bar x)^2

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
    return Interval(mean, float(_quantile(count - 1, LEVEL) * error), count)


def _quantile(freedom: int, level: float) -> float:
    """Return what Student's t exceeds in absolute value with chance ``level``."""
    return float(-special.stdtrit(freedom, level / 2.0))


def judge(gain: Interval, *, strict: bool) -> Verdict:
    """Return the verdict on the claim "the first is better than the second".

    A positive paired difference supports it; if it is not strict ("at least as good") also 0.
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


def p_value(gain: Interval, *, strict: bool) -> float:
    """Return the smallest level at which a gain still shows a claim, see `judge`.

    That is the two-sided p-value of the t-test against 0; 1 if the mean does not support the claim
    or has no interval.
    """
    verdict = judge(gain, strict=strict)
    if verdict in (Verdict.DOES_NOT_HOLD, Verdict.ONE_SEED):
        return 1.0
    if not gain.half_width:
        return 0.0
    statistic = gain.mean * _quantile(gain.freedom, LEVEL) / gain.half_width
    return float(2.0 * special.stdtr(gain.freedom, -statistic))


def p_value_apart(upper: Interval, lower: Interval) -> float:
    """Return the level at which the intervals of two means touch; 1 if ``upper`` is not above.

    Also 1 if one of them has no interval.
    """
    gap = upper.mean - lower.mean
    if gap <= 0.0 or upper.half_width is None or lower.half_width is None:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(100):  # widths fall with the level, down to 0 at level 1
        level = (low + high) / 2.0
        widths = (one.width_at(level) or 0.0 for one in (upper, lower))
        low, high = (low, level) if sum(widths) < gap else (level, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Return p-values corrected for their number: family-wise error, any dependence.

    .. math:: \tilde p_{(k)} = \max_{j \le k} \min\{1, (m - j + 1)\, p_{(j)}\}

    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[place]))
        corrected[place] = largest
    return corrected


def weakest(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a chain of claims: that of its weakest link."""
    return max(verdicts, key=list(Verdict).index)
