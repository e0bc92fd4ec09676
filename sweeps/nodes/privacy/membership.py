"""How well scores tell members, on which a model was trained, from non-members.

All of it depends on the order of scores alone, so not on monotone transformations of them.

Shape suffixes in this file: M = members, N = non-members.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
"""Of the bootstrap."""

FALSE_POSITIVES = 0.01
"""Share of non-members that are taken for members, at which an attack is judged beside its area."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Scores of members or of non-members; greater ones look more like members.

    Samples that are not independent of each other share the number of a cluster.
    """

    scores: Scores
    clusters: NDArray[Any]

    def redrawn(self, rng: np.random.Generator) -> Iterator[Scores]:
        """Yield, without end, the scores of clusters drawn with replacement, as many as it has."""
        order = np.argsort(self.clusters, kind="stable")
        _, starts, sizes = np.unique(self.clusters[order], return_index=True, return_counts=True)
        while True:
            chosen = rng.integers(len(starts), size=len(starts))
            drawn, ends = sizes[chosen], np.cumsum(sizes[chosen])
            # the place of each sample within its cluster, beyond where that starts
            within = np.arange(ends[-1]) - np.repeat(ends - drawn, drawn)
            yield self.scores[order[np.repeat(starts[chosen], drawn) + within]]


def together(parts: Sequence[Sample]) -> Sample:
    """Return several samples as one; clusters of one are not those of another."""
    clusters, start = [], 0
    for part in parts:
        distinct, place = np.unique(part.clusters, return_inverse=True)
        clusters.append(start + place)
        start += len(distinct)
    scores = np.concatenate([part.scores for part in parts])
    return Sample(scores=scores, clusters=np.concatenate(clusters))


def auc(member_M: Scores, other_N: Scores) -> float:
    r"""Return the area under the ROC curve, :math:`P(s_m > s_n) + \tfrac12 P(s_m = s_n)`.

    0.5 where scores know nothing. Mann-Whitney's U over the number of pairs (Hanley and McNeil,
    Radiology 143, 1982).
    """
    sorted_N = np.sort(other_N)
    below_M = np.searchsorted(sorted_N, member_M, side="left")
    up_to_M = np.searchsorted(sorted_N, member_M, side="right")
    return float((below_M + up_to_M).mean() / (2.0 * len(sorted_N)))


def true_positives(member_M: Scores, other_N: Scores) -> float:
    """Return the share of members above a threshold that at most 1 % of non-members exceed.

    Carlini et al., "Membership inference attacks from first principles", IEEE S&P 2022, section
    III: an attack that is sure of few samples is worse than one that is unsure of all. With fewer
    than 100 non-members none of them may exceed the threshold.
    """
    allowed = int(FALSE_POSITIVES * len(other_N))
    threshold = np.sort(other_N)[len(other_N) - 1 - allowed]
    return float((member_M > threshold).mean())


def judged(members: Sample, others: Sample, rng: np.random.Generator) -> dict[str, float]:
    """Return ``auc`` and ``tpr_1fpr`` of an attack, and the ends of their 95 % intervals.

    Intervals are percentiles of a bootstrap over clusters of samples (Efron and Tibshirani, "An
    introduction to the bootstrap", 1993, chapter 13), not over trainings.
    """
    found: dict[str, float] = {}
    pairs = zip(members.redrawn(rng), others.redrawn(rng), strict=True)
    for name, measure in (("auc", auc), ("tpr_1fpr", true_positives)):
        drawn = [measure(*pair) for pair in islice(pairs, DRAWS)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        found |= {
            name: measure(members.scores, others.scores),
            f"{name}_low": float(low),
            f"{name}_high": float(high),
        }
    return found
