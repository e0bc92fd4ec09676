"""Statistics of codewords, and codewords that are drawn from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.csi_feedback.methods.synthetic_rehearsal import describe, draw
from kdtasks.learning.random import numpy_generator


def codewords(seed, count, length):
    rng = numpy_generator(seed, "codewords")
    mixing = rng.normal(size=(length, length))
    return (3.0 + rng.normal(size=(count, length)) @ mixing).astype(np.float32)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6))
def test_statistics_are_those_of_numpy(seed, count, length):
    sample = codewords(seed, count, length)
    message = describe(sample)
    double = sample.astype(np.float64)
    expected = np.cov(double, rowvar=False, ddof=0).reshape(length, length)
    np.testing.assert_allclose(message["mean"], double.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(message["covariance"], expected, rtol=1e-5, atol=1e-4)
    assert {array.dtype for array in message.values()} == {np.dtype(np.float32)}


def test_an_order_of_samples_cannot_be_read_from_them():
    sample = codewords(0, 50, 4)
    one, other = describe(sample), describe(sample[::-1])
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=1e-6)


def test_drawn_codewords_have_the_statistics_wanted():
    message = describe(codewords(1, 500, 5))
    drawn = draw(message, 40_000, numpy_generator(0, "draw"))
    assert drawn.dtype == np.float32
    assert drawn.flags.c_contiguous
    scale = np.sqrt(np.diag(message["covariance"]))
    np.testing.assert_allclose(
        drawn.mean(0), message["mean"], atol=5 * scale.max() / np.sqrt(40_000)
    )
    again = describe(drawn)["covariance"]
    np.testing.assert_allclose(again, message["covariance"], atol=0.05 * scale.max() ** 2)


def test_a_code_of_lower_rank_is_not_left():
    # Fewer samples than numbers per codeword: the covariance is singular.
    sample = codewords(2, 3, 8)
    drawn = draw(describe(sample), 100, numpy_generator(0, "draw")).astype(np.float64)
    basis = np.linalg.svd(sample - sample.mean(0), full_matrices=False)[2][:2]
    centred = drawn - sample.mean(0)
    assert np.abs(centred - centred @ basis.T @ basis).max() < 1e-2 * np.abs(centred).max()


def test_without_variance_every_draw_is_the_mean():
    message = {"mean": np.arange(3, dtype=np.float32), "covariance": np.zeros((3, 3), np.float32)}
    drawn = draw(message, 4, numpy_generator(0, "draw"))
    np.testing.assert_array_equal(drawn, np.tile(message["mean"], (4, 1)))


@pytest.mark.parametrize("count", [0, 1])
def test_any_number_can_be_drawn(count):
    assert draw(describe(codewords(0, 9, 4)), count, numpy_generator(0, "draw")).shape == (count, 4)
