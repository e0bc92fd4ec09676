"""The Gaussian process with priors: its gradient, its priors, and what they are for."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from sweeps.search.gaussian_process import ProcessWithPriors

FEATURES = 3
RNG = np.random.default_rng(0)
PLACES = RNG.random((12, FEATURES))
VALUES = np.sin(3.0 * PLACES[:, 0]) + 0.05 * RNG.normal(size=12)
MODEL = ProcessWithPriors(FEATURES, 2).fit(PLACES, VALUES)


@given(st.lists(st.floats(-2.5, 6.0), min_size=3, max_size=3), st.floats(-6.0, -0.5))
@settings(deadline=None)
def test_likelihood_times_prior_and_its_gradient(scales: list[float], noise: float) -> None:
    theta = np.array([*scales, noise])
    value, gradient = MODEL.log_marginal_likelihood(theta, eval_gradient=True)

    plain = GaussianProcessRegressor(
        Matern(np.ones(FEATURES), (5e-2, 1e3), nu=2.5) + WhiteKernel(1e-2, (1e-5, 1.0)),
        normalize_y=True,
        optimizer=None,
    ).fit(PLACES, VALUES)
    lengths = norm(math.sqrt(2.0) + 0.5 * math.log(2.0), math.sqrt(3.0))
    prior = lengths.logpdf(theta[:-1]).sum() + norm(-4.0, 1.0).logpdf(theta[-1])
    most = FEATURES * lengths.logpdf(lengths.mean()) + norm(-4.0, 1.0).logpdf(-4.0)
    assert value == pytest.approx(plain.log_marginal_likelihood(theta) + prior - most, rel=1e-6)

    step = 1e-5
    for at, slope in enumerate(gradient):
        moved = [theta + sign * step * np.eye(4)[at] for sign in (1.0, -1.0)]
        above, below = (MODEL.log_marginal_likelihood(one) for one in moved)
        assert slope == pytest.approx((above - below) / (2.0 * step), rel=1e-3, abs=1e-2)


def test_few_trials_of_many_parameters_leave_it_uncertain() -> None:
    """It is not sure of what six observations of twelve features cannot tell."""
    places = np.random.default_rng(1).random((6, 12))
    values = np.random.default_rng(2).normal(size=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ProcessWithPriors(12, 12).fit(places, values)
    far = np.random.default_rng(3).random((200, 12))
    spread = model.predict(far, return_std=True)[1]
    assert spread.mean() > 0.3 * values.std()
