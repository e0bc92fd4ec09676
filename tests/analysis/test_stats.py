"""Intervals against scipy, and the ladder of verdicts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.clusters import by_seed, paired_difference
from analysis.stats import (
    Interval,
    Verdict,
    judge,
    mean_interval,
    weakest,
)

numbers = st.floats(-100.0, 100.0).map(lambda value: round(value, 3))
samples = st.lists(numbers, min_size=2, max_size=9)


@given(samples)
def test_interval_is_that_of_scipy(values):
    interval = mean_interval(values)
    error = stats.sem(values)
    if error < 1e-9:
        assert interval.half_width == pytest.approx(0.0, abs=1e-6)
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


@given(samples, st.floats(-50.0, 50.0))
def test_interval_moves_with_its_values(values, shift):
    here, there = mean_interval(values), mean_interval([value + shift for value in values])
    assert there.mean == pytest.approx(here.mean + shift, abs=1e-6)
    assert there.half_width == pytest.approx(here.half_width, abs=1e-6)


@given(samples, samples)
def test_paired_difference_agrees_with_the_paired_t_test(first, second):
    count = min(len(first), len(second))
    one, two = by_seed(dict(enumerate(first))), by_seed(dict(enumerate(second)))
    interval = paired_difference(one, two)
    assert interval is not None
    assert interval.count == count
    opposite = paired_difference(two, one)
    assert opposite is not None
    assert opposite.mean == pytest.approx(-interval.mean)
    differences = np.subtract(first[:count], second[:count])
    if differences.std() > 1e-6:
        significant = stats.ttest_rel(first[:count], second[:count]).pvalue < 0.05
        assert significant == (abs(interval.mean) > interval.half_width)


def test_one_seed_has_no_interval_and_none_has_no_mean():
    assert mean_interval([2.0]) == Interval(2.0, None, 1)
    assert (mean_interval([2.0]).low, mean_interval([2.0]).high) == (None, None)
    with pytest.raises(ValueError, match="finite"):
        mean_interval([])
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, float("nan")])


def test_pairs_are_matched_by_seed():
    one, two = by_seed({1: 5.0, 2: 7.0}), by_seed({2: 4.0, 3: 0.0})
    assert paired_difference(one, two) == Interval(3.0, None, 1)
    assert paired_difference(by_seed({1: 5.0}), two) is None


@pytest.mark.parametrize(
    ("gain", "strict", "verdict"),
    [
        (Interval(1.0, 0.5, 3), True, Verdict.HOLDS),
        (Interval(1.0, 1.5, 3), True, Verdict.ON_AVERAGE),
        (Interval(1.0, None, 1), True, Verdict.ONE_SEED),
        (Interval(-0.1, 1.5, 3), True, Verdict.DOES_NOT_HOLD),
        (Interval(0.0, 0.0, 3), True, Verdict.DOES_NOT_HOLD),
        (Interval(0.0, 0.0, 3), False, Verdict.HOLDS),
        (Interval(0.0, 0.2, 3), False, Verdict.ON_AVERAGE),
        (Interval(-0.1, 1.5, 3), False, Verdict.DOES_NOT_HOLD),
    ],
)
def test_verdicts(gain, strict, verdict):
    assert judge(gain, strict=strict) is verdict


def test_a_chain_is_as_strong_as_its_weakest_link():
    assert weakest([Verdict.HOLDS, Verdict.ON_AVERAGE]) is Verdict.ON_AVERAGE
    assert weakest([Verdict.NOT_MEASURED, Verdict.DOES_NOT_HOLD]) is Verdict.DOES_NOT_HOLD
    assert weakest([Verdict.HOLDS, Verdict.NOT_MEASURED]) is Verdict.NOT_MEASURED
    assert weakest([Verdict.HOLDS, Verdict.HOLDS]) is Verdict.HOLDS
