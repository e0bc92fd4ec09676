"""Scores of members and non-members: what is measured of them, against laws and slow versions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.nodes.privacy.membership import Sample, auc, judged, together, true_positives

SCORES = st.lists(st.integers(-20, 20), min_size=1, max_size=30).map(
    lambda numbers: np.array(numbers, np.float64)
)
RISING = {
    "affine": lambda s: 3.0 * s - 7.0,
    "cube": lambda s: s**3,
    "logistic": lambda s: 1.0 / (1.0 + np.exp(-s)),
}


def sample(scores, clusters=None):
    return Sample(
        scores=np.asarray(scores, np.float64),
        clusters=np.arange(len(scores)) if clusters is None else np.asarray(clusters),
    )


@given(SCORES, SCORES, st.sampled_from(list(RISING)))
def test_monotone_transformations_change_nothing(members, others, name):
    risen = [RISING[name](scores) for scores in (members, others)]
    assert auc(*risen) == auc(members, others)
    assert true_positives(*risen) == true_positives(members, others)


@given(SCORES, SCORES)
def test_the_area_is_that_of_all_pairs_and_turns_with_the_roles(members, others):
    by_pairs = np.mean([(m > n) + 0.5 * (m == n) for m in members for n in others])
    assert auc(members, others) == pytest.approx(by_pairs, abs=1e-12)
    assert auc(members, others) + auc(others, members) == pytest.approx(1.0)


@given(SCORES, st.integers(1, 400), st.integers(0, 1000))
def test_true_positives_are_the_most_of_all_thresholds(members, count, seed):
    others = np.random.default_rng(seed).integers(-20, 20, count).astype(np.float64)
    thresholds = np.concatenate([members, others, [-np.inf]])
    allowed = [t for t in thresholds if (others > t).mean() <= 0.01]
    most = max((members > t).mean() for t in allowed)
    assert true_positives(members, others) == most


def test_exchangeable_scores_tell_nothing_and_intervals_cover_that():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(40):
        found = judged(sample(rng.normal(size=300)), sample(rng.normal(size=200)), rng)
        assert found["auc"] == pytest.approx(0.5, abs=0.1)
        covered += found["auc_low"] <= 0.5 <= found["auc_high"]
    assert covered >= 33  # of 95 %: fewer with probability 1e-3


def test_intervals_are_wider_where_samples_hang_together():
    rng = np.random.default_rng(0)
    groups = np.arange(200) // 20
    scores = rng.normal(size=10)[groups] + 0.01 * rng.normal(size=200)
    others = sample(rng.normal(size=200))

    def width(clusters):
        found = judged(sample(scores, clusters), others, np.random.default_rng(1))
        return found["auc_high"] - found["auc_low"]

    assert width(groups) > 2.0 * width(None)


def test_clusters_of_different_parts_stay_apart():
    both = together([sample([1.0, 2.0, 3.0], [7, 7, 9]), sample([4.0], [7])])
    assert both.scores.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert both.clusters.tolist() == [0, 0, 1, 2]
