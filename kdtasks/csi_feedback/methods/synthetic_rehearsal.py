"""Samples to rehearse with, made up from statistics of codewords.

A server that must not, or cannot, send its samples sends mean and covariance of their codewords;
the edge draws codewords of a normal distribution and decodes them with the student it has received.

Shape suffixes in this file: N = samples, M = codeword length.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.gaussian_mechanism import Mechanism
from kdtasks.contract.task import Arrays, as_float32


def describe(codewords_NM: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Return ``mean``, shape [M], and ``covariance``, shape [M, M], of codewords.

    They are sums over samples, taken in double precision and sent in single.
    """
    codewords = codewords_NM.astype(np.float64)
    mean = codewords.mean(axis=0)
    centred = codewords - mean
    return {
        "mean": as_float32(mean),
        "covariance": as_float32(centred.T @ centred / len(codewords)),
    }


def describe_noisily(
    codewords_NM: NDArray[Any], mechanism: Mechanism, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Return the statistics of `describe` with noise; the covariance follows from what is sent."""
    mean, second = mechanism.noisy_moments(codewords_NM, rng, crosswise=True)
    covariance = (second + second.T) / 2 - np.outer(mean, mean)
    return {"mean": as_float32(mean), "covariance": as_float32(covariance)}


def draw(statistics: Arrays, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw codewords of a normal distribution with these statistics, shape [N, M].

    Single precision, or noise, can make a covariance indefinite; negative eigenvalues count as 0.
    """
    covariance = statistics["covariance"].astype(np.float64)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    normal = rng.standard_normal((count, len(values)))
    codewords = statistics["mean"] + (normal * np.sqrt(values.clip(min=0.0))) @ vectors.T
    return np.ascontiguousarray(codewords, np.float32)
