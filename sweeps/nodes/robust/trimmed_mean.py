"""Coordinate-wise trimmed mean.

Shape suffixes in this file: K = nodes, D = numbers of a node.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def trimmed_mean(vectors_KD: NDArray[Any], liars: int) -> NDArray[np.float64]:
    r"""Return the mean of each coordinate without its ``liars`` smallest and largest values, [D].

    .. math:: g_d = \frac{1}{K - 2f} \sum_{k=f+1}^{K-f} x_{(k)d}

    with :math:`x_{(1)d} \le \ldots \le x_{(K)d}` and :math:`f` liars. If no more than :math:`f`
    nodes lie, every coordinate is within the range of the honest values.

    Source: Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates",
    ICML 2018, Definition 2, with :math:`\beta = f / K`.

    Args:
        vectors_KD: A row per node.
        liars: f, nodes that may lie.

    Raises:
        ValueError: If nothing is left, see `fewest_nodes`.
    """
    if liars < 0 or len(vectors_KD) < fewest_nodes(liars):
        raise ValueError(f"{len(vectors_KD)} nodes, of which {liars} lie, leave nothing")
    ordered_KD = np.sort(vectors_KD.astype(np.float64), axis=0)
    mean_D: NDArray[np.float64] = ordered_KD[liars : len(ordered_KD) - liars].mean(0)
    return mean_D


def fewest_nodes(liars: int) -> int:
    """Return how many nodes there must be so that something is left."""
    return 2 * liars + 1
