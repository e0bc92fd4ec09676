r"""Noise on what nodes send, and what it guarantees: the Gaussian mechanism.

A message of numbers v whose :math:`L_2` sensitivity is Δ is sent as :math:`v + N(0, (\sigma Δ)^2)`.
After k such messages the trade-off between the errors of any test of one data set against its
neighbour is that of :math:`N(0, 1)` against :math:`N(\mu, 1)`, :math:`\mu = \sqrt{k} / \sigma`
(Dong, Roth and Su, "Gaussian differential privacy", JRSS B 84, 2022, corollary 3.3), so that

.. math:: \delta(\epsilon) = \Phi\left(\frac{\mu}{2} - \frac{\epsilon}{\mu}\right)
          - e^\epsilon \, \Phi\left(-\frac{\mu}{2} - \frac{\epsilon}{\mu}\right)

holds with equality (Balle and Wang, "Improving the Gaussian mechanism for differential privacy",
ICML 2018, theorem 5). Accountants of subsampled mechanisms could only approximate it from above.

Neighbours are not the same for every message, see `Mechanism.noisy_rows` and
`kdtasks.contract.leakage.NoisesStatistics`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.task import Arrays

STEPS = 200
"""Of a bisection: more than double precision can tell apart."""

FAR = -30.0
"""Below it the normal distribution function is taken from its asymptotic series."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mechanism:
    """Noise on messages.

    Attributes:
        sigma: Standard deviation over sensitivity.
        clip: Norm to which the numbers of a sample are cut.
    """

    sigma: float
    clip: float

    def noise(
        self, shape: tuple[int, ...], sensitivity: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the noise on a message."""
        return self.sigma * sensitivity * rng.standard_normal(shape)

    def noisy_rows(
        self, arrays: Arrays, centre: float, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        r"""Return outputs with noise, whatever data of its own the sender has.

        The distance of each sample's outputs from ``centre`` is cut to ``clip`` C. Neighbours are
        any two sets of local data, hence also those that differ in one sample: between them every
        one of n samples' outputs may turn round, and :math:`\Delta = 2 C \sqrt{n}`.

        Args:
            arrays: Outputs, a row per sample.
            centre: Of outputs that say nothing.
            rng: Of the sender.
        """
        moved = {name: array.astype(np.float64) - centre for name, array in arrays.items()}
        count = len(next(iter(moved.values())))
        squares = [np.square(array.reshape(count, -1)).sum(1) for array in moved.values()]
        factor = clipping(np.sqrt(np.sum(squares, axis=0)), self.clip)
        sensitivity = 2.0 * self.clip * math.sqrt(count)
        found = {}
        for name, array in moved.items():
            cut = array * factor.reshape(-1, *[1] * (array.ndim - 1))
            noisy = centre + cut + self.noise(array.shape, sensitivity, rng)
            found[name] = noisy.astype(arrays[name].dtype)
        return found

    def noisy_moments(
        self, vectors_NX: NDArray[Any], rng: np.random.Generator, *, crosswise: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        r"""Return mean and second moment of vectors with noise, shapes [X] and [X, X] or [X].

        Vectors v are cut to norm C. Sent are the means of :math:`(v, v v^T / C)` if ``crosswise``,
        else of :math:`(v, v \odot v / C)`: of norm :math:`\sqrt{2} C` at most, so that exchanging
        one of N vectors moves them by at most :math:`\Delta = 2 \sqrt{2} C / N`.
        """
        cut, clip = vectors_NX.astype(np.float64), self.clip
        cut *= clipping(np.linalg.norm(cut, axis=1), clip)[:, None]
        sensitivity = 2.0 * math.sqrt(2.0) * clip / len(cut)
        mean = cut.mean(axis=0)
        second = cut.T @ cut / (clip * len(cut)) if crosswise else np.square(cut).mean(0) / clip
        mean = mean + self.noise(mean.shape, sensitivity, rng)
        return mean, clip * (second + self.noise(second.shape, sensitivity, rng))


def clipping(norms: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Return the factors by which vectors are cut to a norm."""
    return limit / np.maximum(norms, limit)


def mechanism_of(settings: NetworkSettings) -> Mechanism | None:
    """Return the noise of a deployment; None if there is none."""
    sigma = settings.dp_sigma
    if settings.dp_epsilon:
        sigma = sigma_for(settings.dp_epsilon, releases(settings), settings.dp_delta)
    return Mechanism(sigma=sigma, clip=settings.dp_clip) if sigma else None


def releases(settings: NetworkSettings) -> int:
    """Return how many noisy messages about the same data a deployment sends."""
    return settings.rounds - 1 if settings.topology == "mutual" else 1


def guarantee(settings: NetworkSettings) -> dict[str, float]:
    """Return the metric ``epsilon`` at ``dp_delta`` of a deployment with noise."""
    mechanism = mechanism_of(settings)
    if mechanism is None:
        return {}
    return {"epsilon": epsilon_of(mechanism.sigma, releases(settings), settings.dp_delta)}


def delta_of(epsilon: float, mu: float) -> float:
    """Return the delta of the formula above."""
    first, second = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
    return math.exp(_log_cdf(first)) - math.exp(epsilon + _log_cdf(second))


def epsilon_of(sigma: float, count: int, delta: float) -> float:
    """Return the epsilon of so many messages with noise ``sigma`` times their sensitivity."""
    mu = math.sqrt(count) / sigma
    return _least(lambda epsilon: delta_of(epsilon, mu) <= delta)


def sigma_for(epsilon: float, count: int, delta: float) -> float:
    """Return the least ``sigma`` with which so many messages have this epsilon."""
    return _least(lambda sigma: sigma > 0 and delta_of(epsilon, math.sqrt(count) / sigma) <= delta)


def _least(holds: Callable[[float], bool]) -> float:
    """Return the least number from 0 on from which a condition holds."""
    if holds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not holds(high):
        low, high = high, 2.0 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _log_cdf(x: float) -> float:
    """Return the logarithm of the standard normal distribution function."""
    if x > FAR:
        return math.log(math.erfc(-x / math.sqrt(2.0)) / 2.0)
    square = x * x
    series = -1.0 / square + 3.0 / square**2 - 15.0 / square**3
    return -square / 2 - math.log(-x) - math.log(2.0 * math.pi) / 2 + math.log1p(series)
