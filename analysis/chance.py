"""How likely it is that a trial belongs on the front, from its repetitions."""

from collections.abc import Sequence

import numpy as np

from analysis.frames import SweepFrames
from analysis.pareto import sweep_front
from analysis.repeats import Floats, Repeats, repeats
from search_spaces.objectives import Objective

RESAMPLES = 1000
"""Resamples of the bootstrap: a chance is then known to some three points."""


def front_chances(frames: SweepFrames, *, seed: int = 0) -> dict[int, float]:
    """Return for every repeated trial how likely its mean is on the front, by its number.

    Trials that were not repeated take no part. Formula: `bootstrap_chances`.
    """
    return bootstrap_chances(repeats(frames), frames.study.objectives, seed=seed)


def bootstrap_chances(
    found: Sequence[Repeats], objectives: Sequence[Objective], *, seed: int = 0
) -> dict[int, float]:
    r"""Return the share of bootstrap resamples in which a trial's mean is on the front of means.

    .. math:: P(i) = \frac{1}{B} \sum_{b=1}^{B}
              \mathbf{1}\left[\nexists j: \bar x_j^{(b)} \prec \bar x_i^{(b)}\right]

    where B is ``RESAMPLES`` and the mean of trial j is over as many seeds as it has, drawn with
    replacement from its own (Efron 1979, Bootstrap Methods); seeds that share a teacher or data are
    drawn as one (`analysis.clusters.clusters`). Trials are drawn independently, also where they
    share seeds: what seeds have in common would make the chances more certain. With two or three
    seeds the bootstrap knows little of the spread and is too sure by a factor of up to
    sqrt(n / (n - 1)) in the deviation of a mean.

    Returns:
        Chances, 0 to 1, by the trial's number.
    """
    if not found:
        return {}
    means = np.stack([_resampled_means(one, seed) for one in found], axis=1)
    on = np.stack([sweep_front(points, objectives) for points in means])
    return {one.number: float(share) for one, share in zip(found, on.mean(axis=0), strict=True)}


def _resampled_means(one: Repeats, seed: int) -> Floats:
    """Return means of resampled seeds, shape [B, m]."""
    values = one.units
    rng = np.random.default_rng([seed, one.number])
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    # about the first value, so that the mean of equal costs is that cost to the last digit
    mean: Floats = values[0] + (values - values[0])[drawn].mean(axis=1)
    return mean
