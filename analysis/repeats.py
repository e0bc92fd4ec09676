"""Points of repeated trials, seed by seed, and how likely a trial is on the front by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.clusters import Repetition, clusters, repetitions
from analysis.frames import SweepFrames
from analysis.fronts import front_trials, test_metric
from analysis.pareto import Floats, sweep_front
from analysis.ranking import column, records, where
from search_spaces.objectives import Objective

FEWEST_SEEDS = 2
"""Least number of repetitions that show a trial's spread."""

RESAMPLES = 1000
"""Resamples of the bootstrap: a chance is then known to some three points."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """One trial, trained anew with several seeds.

    Attributes:
        by_seed: All objectives by seed, shape [m], in the objectives' units: on the test split
            where an objective has a metric there; else as the repetition measured them, or as the
            trial did if the repetition did not.
        clusters: Seeds that share a teacher or scenario, see `analysis.clusters.clusters`.
    """

    number: int
    by_seed: Mapping[int, Floats]
    clusters: Sequence[Sequence[int]] = ()

    @property
    def units(self) -> Floats:
        """Points that are independent, shape [n, m]: means of clusters, values if there is one."""
        if len(self.clusters) < 2:
            return self.values
        groups = [np.stack([self.by_seed[seed] for seed in group]) for group in self.clusters]
        # about the first value, so that the mean of equal costs is that cost to the last digit
        return np.stack([group[0] + (group - group[0]).mean(axis=0) for group in groups])

    @property
    def values(self) -> Floats:
        """Points in the order of their seeds, shape [seeds, m]."""
        return np.stack([self.by_seed[seed] for seed in sorted(self.by_seed)])


def repeats(frames: SweepFrames) -> list[Repeats]:
    """Return the feasible trials with ``FEWEST_SEEDS`` repetitions or more, by their numbers."""
    goals, runs = frames.study.objectives, _measured_runs(frames)
    found = []
    for trial in records(frames.feasible):
        own = np.array([float(trial[goal.metric]) for goal in goals])
        points = runs.get(int(trial["number"]), {})
        if len(points) >= FEWEST_SEEDS:
            by_seed = {one.seed: np.where(np.isnan(p), own, p) for one, p in points.items()}
            groups = [[one.seed for one in group] for group in clusters(points)]
            found.append(Repeats(int(trial["number"]), by_seed, groups))
    return found


def _measured_runs(frames: SweepFrames) -> dict[int, dict[Repetition, Floats]]:
    """Return the repetitions that have every test metric, by trial; costs may be NaN."""
    goals, runs = frames.study.objectives, frames.confirmations
    tested = [test_metric(goal) for goal in goals]
    names = [test or goal.metric for test, goal in zip(tested, goals, strict=True)]
    points = np.stack([column(runs, name) for name in names], axis=1)
    known = np.asarray(np.isfinite(points[:, [t is not None for t in tested]]).all(axis=1))
    found: dict[int, dict[Repetition, Floats]] = {}
    rows = records(runs)
    ones = repetitions(rows, "confirmation")
    for row, one, point, whole in zip(rows, ones, points, known, strict=True):
        if whole:
            found.setdefault(int(row["number"]), {})[one] = point
    return found


def seed_sets(frames: SweepFrames) -> dict[int, Floats]:
    """Return the points of the same trials with each seed: one set of points per seed.

    A seed counts if every repeated member of the front has it, and a trial takes part if it has
    all seeds that count. So a repetition that failed costs its seed and not its trial, and no set
    is better than another only because it holds more trials. Shapes are [trials, m]; empty if fewer
    than ``FEWEST_SEEDS`` seeds count.
    """
    found = repeats(frames)
    members = {int(number) for number in front_trials(frames)["number"]}
    of_members = [set(one.by_seed) for one in found if one.number in members]
    seeds = sorted(set.intersection(*of_members)) if of_members else []
    if len(seeds) < FEWEST_SEEDS:
        return {}
    whole = [one for one in found if one.by_seed.keys() >= set(seeds)]
    return {seed: np.stack([one.by_seed[seed] for one in whole]) for seed in seeds}


def near_trials(frames: SweepFrames) -> pd.DataFrame:
    """Return the trials off the front that were repeated, in the order of their numbers."""
    numbers = {one.number for one in repeats(frames)}
    trials = frames.feasible
    rows = records(trials)
    return where(trials, (row["front"] is not True and row["number"] in numbers for row in rows))


def front_chances(frames: SweepFrames) -> dict[int, float]:
    """Return for every repeated trial how likely its mean is on the front, by its number.

    Trials that were not repeated take no part. Formula: `bootstrap_chances`.
    """
    return bootstrap_chances(repeats(frames), frames.study.objectives)


def bootstrap_chances(
    found: Sequence[Repeats], objectives: Sequence[Objective]
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
    """
    if not found:
        return {}
    means = np.stack([_resampled_means(one) for one in found], axis=1)
    on = np.stack([sweep_front(points, objectives) for points in means])
    return {one.number: float(share) for one, share in zip(found, on.mean(axis=0), strict=True)}


def _resampled_means(one: Repeats) -> Floats:
    """Return means of resampled seeds, shape [B, m]."""
    values = one.units
    rng = np.random.default_rng([0, one.number])
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    # about the first value, so that the mean of equal costs is that cost to the last digit
    mean: Floats = values[0] + (values - values[0])[drawn].mean(axis=1)
    return mean
