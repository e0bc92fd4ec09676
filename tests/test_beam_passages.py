import argparse

import numpy as np
import pytest

from benchmarks.beam_passages import Arm, Tally, accuracies, table

SLOTS, PASSAGES = 4, 80


def counted(share, seed):
    """Passages of 1 to 20 windows, answered right with a probability."""
    rng = np.random.default_rng(seed)
    count_PT = np.repeat(rng.integers(1, 21, (PASSAGES, 1)), SLOTS, axis=1)
    return Tally(
        hits_PT=rng.binomial(count_PT, share).astype(float), count_PT=count_PT.astype(float)
    )


def arm(name, tallies, *, distils=True, network=("image-student", 1.0, "image")):
    return Arm(name=name, network=network, distils=distils, tallies=tuple(tallies))


def rows(*arms):
    options = argparse.Namespace(sweep="a sweep", resamples=500)
    return {row["arm"]: row for row in table(list(arms), options)}


def test_accuracy_is_the_mean_over_slots_of_the_share_of_all_windows():
    one = counted(0.4, 1)
    expected = 100 * (one.hits_PT.sum(axis=0) / one.count_PT.sum(axis=0)).mean()
    assert accuracies(arm("a", [one]), np.ones((1, PASSAGES)))[0, 0] == pytest.approx(expected)


def test_the_same_answers_gain_nothing_and_the_interval_has_no_width_with_one_seed():
    one = counted(0.4, 1)
    found = rows(arm("kd", [one]), arm("plain", [one], distils=False))
    assert found["kd"]["gain"] == pytest.approx([0.0, 0.0, 0.0])
    assert found["plain"]["gain"] is None


def test_a_gain_of_twenty_points_is_found_and_has_the_same_sign_throughout():
    plain, better = [
        [counted(share, seed) for seed in seeds]
        for share, seeds in ((0.4, range(3)), (0.6, range(3, 6)))
    ]
    gain, low, high = rows(arm("kd", better), arm("plain", plain, distils=False))["kd"]["gain"]
    assert 15 < low < gain < high < 25
    assert gain == pytest.approx(20, abs=3)


def test_only_the_same_network_is_compared():
    other = arm("plain", [counted(0.4, 1)], distils=False, network=("radar-student", 1.0, "radar"))
    assert rows(arm("kd", [counted(0.6, 2)]), other)["kd"]["gain"] is None


def test_different_test_splits_are_refused():
    short = Tally(hits_PT=np.ones((3, SLOTS)), count_PT=np.ones((3, SLOTS)))
    with pytest.raises(SystemExit, match="different test splits"):
        rows(arm("a", [counted(0.4, 1)]), arm("b", [short]))
