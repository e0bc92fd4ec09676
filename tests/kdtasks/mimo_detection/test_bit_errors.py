import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from kdtasks.mimo_detection.link.bit_errors import BitErrors, compare, counted

COUNTS = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)).map(
    lambda pair: BitErrors(min(pair), pair[1])
)


@given(COUNTS, COUNTS, COUNTS)
def test_counts_merge_in_any_order(one, other, third):
    assert (one + other) + third == third + (other + one)
    assert one + BitErrors() == one


@given(COUNTS)
def test_the_interval_holds_the_ratio_and_stays_within_its_range(count):
    low, high = count.wilson()
    assert 0.0 <= low <= count.ratio + 1e-12
    assert count.ratio - 1e-12 <= high <= 1.0


@given(COUNTS)
def test_the_ends_are_where_a_score_test_just_rejects(count):
    # The definition: (p - q)^2 = z^2 q (1 - q) / n at both ends q.
    z, n, p = 1.5, count.bits, count.ratio
    for q in count.wilson(z):
        assert (p - q) ** 2 == pytest.approx(z**2 * q * (1.0 - q) / n, rel=1e-6, abs=1e-13)


@pytest.mark.parametrize(("bits", "ratio"), [(100, 0.02), (1000, 0.3), (5000, 0.001)])
def test_the_interval_covers_the_truth_about_as_often_as_it_states(bits, ratio):
    errors = np.arange(bits + 1)
    ends = np.array([BitErrors(int(k), bits).wilson() for k in errors])
    covers = (ends[:, 0] <= ratio) & (ratio <= ends[:, 1])
    assert float(binom.pmf(errors, bits, ratio)[covers].sum()) == pytest.approx(0.95, abs=0.02)


def test_counting_stops_once_there_are_enough_errors_and_reads_no_further():
    parts = iter([BitErrors(3, 10), BitErrors(4, 10), BitErrors(0, 10)])
    assert counted(parts, stop_at=7) == BitErrors(7, 20)
    assert next(parts) == BitErrors(0, 10)
    assert counted([BitErrors(3, 10), BitErrors(4, 10)]) == BitErrors(7, 20)


def test_errors_are_where_bits_differ():
    sent = torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8)
    assert compare(sent ^ torch.tensor([[1, 0], [0, 0]], dtype=torch.uint8), sent) == BitErrors(
        1, 4
    )
    with pytest.raises(ValueError, match="no bits"):
        _ = BitErrors().ratio
