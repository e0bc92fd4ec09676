"""A Gaussian process with priors, which dozens of trials of many parameters need.

Without priors the likelihood of few trials in many dimensions is flat: length scales end at their
bounds, and the process is certain of what it cannot know.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel, Matern, WhiteKernel

Floats = NDArray[np.float64]

SCALE_MEAN, SCALE_SPREAD = math.sqrt(2.0), math.sqrt(3.0)
NOISE_MEAN, NOISE_SPREAD = -4.0, 1.0


class ProcessWithPriors(GaussianProcessRegressor):  # type: ignore[misc]  # untyped
    """Matern 5/2 with a length scale per feature and noise, fitted to the most probable values.

    Logarithms of length scales are normal with mean ``sqrt(2) + log(D) / 2`` and variance 3, so
    that functions of more parameters are no more complex (Hvarfner et al. 2024, "Vanilla Bayesian
    Optimization Performs Great in High Dimensions"); the logarithm of the noise's variance is
    normal with mean -4 and variance 1. Values are normalised, so the variance of the signal is 1.

    Args:
        features: Number of features.
        parameters: D, number of parameters; a choice is one, whatever its number of indicators.
    """

    def __init__(
        self,
        features: int = 1,
        parameters: int = 1,
        kernel: Kernel | None = None,
        optimizer: str | None = "fmin_l_bfgs_b",
    ) -> None:
        scales = Matern(np.ones(features), (5e-2, 1e3), nu=2.5)
        kernel = scales + WhiteKernel(1e-2, (1e-5, 1.0)) if kernel is None else kernel
        super().__init__(kernel, optimizer=optimizer, normalize_y=True)
        self.features, self.parameters = features, parameters

    def log_marginal_likelihood(
        self, theta: Any = None, eval_gradient: bool = False, clone_kernel: bool = True
    ) -> Any:
        """Return the logarithm of likelihood times prior, but for a constant, and its gradient."""
        found = super().log_marginal_likelihood(theta, eval_gradient, clone_kernel)
        if theta is None:
            return found
        means = np.full(len(theta), SCALE_MEAN + 0.5 * math.log(self.parameters))
        spreads = np.full(len(theta), SCALE_SPREAD)
        means[-1], spreads[-1] = NOISE_MEAN, NOISE_SPREAD
        away = (theta - means) / spreads
        prior = -0.5 * float(away @ away)
        if not eval_gradient:
            return found + prior
        return found[0] + prior, found[1] - away / spreads
