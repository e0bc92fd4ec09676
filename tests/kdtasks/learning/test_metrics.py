import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import DataError
from kdtasks.learning.metrics import PICTURE_ZERO, Ratio, nmse, relative_errors, steps_below

RATIOS = st.builds(Ratio, st.integers(0, 10**6).map(float), st.integers(0, 10**6))
SEEDS = st.integers(0, 2**32 - 1)


def pictures(seed, count=7):
    rng = np.random.default_rng(seed)
    both = rng.uniform(0, 1, (2, count, 2, 3, 4)).astype(np.float32)
    return torch.from_numpy(both[0]), torch.from_numpy(both[1])


@given(RATIOS, RATIOS, RATIOS)
def test_ratios_are_a_commutative_monoid(a, b, c):
    # Whole sums: adding floats is associative only up to rounding.
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Ratio() == a


def test_the_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no samples"):
        _ = Ratio().value


def test_decibels():
    assert Ratio(1.0, 10).decibel == pytest.approx(-10.0)
    assert Ratio(0.0, 10).decibel == -math.inf


@given(SEEDS, st.integers(0, 7))
def test_shards_of_any_size_add_up_to_the_whole(seed, cut):
    truth, guess = pictures(seed)
    total = Ratio()
    for part in (slice(0, cut), slice(cut, None)):
        if len(truth[part]):
            total = total + nmse(truth[part], guess[part])
    whole = nmse(truth, guess)
    assert total.count == whole.count == 7
    assert total.value == pytest.approx(whole.value, rel=1e-6)


@given(SEEDS)
def test_it_is_equation_12_on_complex_matrices(seed):
    truth, guess = pictures(seed)
    expected = []
    for one, other in zip(truth.double().numpy(), guess.double().numpy(), strict=True):
        matrix = (one[0] - 0.5) + 1j * (one[1] - 0.5)
        error = matrix - ((other[0] - 0.5) + 1j * (other[1] - 0.5))
        expected.append(np.linalg.norm(error, "fro") ** 2 / np.linalg.norm(matrix, "fro") ** 2)
    np.testing.assert_allclose(relative_errors(truth, guess), expected, rtol=1e-5)
    assert nmse(truth, guess).value == pytest.approx(np.mean(expected), rel=1e-5)


@given(SEEDS, st.floats(0.1, 10.0))
def test_the_scale_of_pictures_cancels(seed, factor):
    truth, guess = pictures(seed)

    def scaled(picture):
        return PICTURE_ZERO + factor * (picture - PICTURE_ZERO)

    ours = nmse(scaled(truth), scaled(guess)).value
    assert ours == pytest.approx(nmse(truth, guess).value, rel=1e-3)


def test_a_perfect_reconstruction_has_no_error():
    truth, _ = pictures(1)
    assert nmse(truth, truth).decibel == -math.inf


def test_an_output_of_zero_power_is_at_0_db():
    truth, _ = pictures(1)
    assert nmse(truth, torch.full_like(truth, PICTURE_ZERO)).decibel == pytest.approx(0.0, abs=1e-6)


def test_a_sample_without_power_is_refused():
    truth, guess = pictures(1)
    truth[2] = PICTURE_ZERO
    with pytest.raises(DataError, match="without power"):
        nmse(truth, guess)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value):
    truth, guess = pictures(1)
    guess[0, 0, 0, 0] = value
    with pytest.raises(DataError, match="not finite"):
        nmse(truth, guess)


CURVE = {0: 0.2, 50: 0.1, 100: 0.08}


@pytest.mark.parametrize(
    ("level", "steps"), [(0.3, 0.0), (0.15, 25.0), (0.1, 50.0), (0.09, 75.0), (0.08, 100.0)]
)
def test_where_a_curve_comes_below_a_level_is_read_between_its_points(level, steps):
    assert steps_below(CURVE, level + 1e-12) == pytest.approx(steps)


def test_a_level_that_a_curve_never_comes_below_has_no_steps():
    assert steps_below(CURVE, 0.08) is None


@given(st.floats(0.081, 1.0), st.floats(0.081, 1.0))
def test_less_takes_longer(one, other):
    assert steps_below(CURVE, min(one, other)) >= steps_below(CURVE, max(one, other))
