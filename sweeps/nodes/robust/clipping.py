"""Clipping of norms.

Shape suffixes in this file: K = nodes, D = numbers of a node.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def clipped(vectors_KD: NDArray[Any], limit: float) -> NDArray[np.float64]:
    r"""Return vectors of at most a norm, [K, D]; shorter ones are as they were.

    .. math:: x_k \min\left(1, \frac{C}{\|x_k\|_2}\right)

    Source: Sun et al., "Can you really backdoor federated learning?", arXiv 1911.07963, section 4.

    Args:
        vectors_KD: A row per node.
        limit: C, at least 0.

    Raises:
        ValueError: If the limit is negative.
    """
    if limit < 0.0:
        raise ValueError(f"a norm cannot be cut to {limit}")
    norms_K = norms(vectors_KD)
    factor_K = np.divide(limit, norms_K, out=np.ones_like(norms_K), where=norms_K > limit)
    cut_KD: NDArray[np.float64] = vectors_KD.astype(np.float64) * factor_K[:, None]
    return cut_KD


def norms(vectors_KD: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Euclidean norm of every vector, [K]."""
    norms_K: NDArray[np.float64] = np.sqrt(np.square(vectors_KD.astype(np.float64)).sum(1))
    return norms_K
