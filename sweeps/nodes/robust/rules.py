"""Rules by which a server blends numbers of several nodes, some of which may lie.

Shape suffixes in this file: K = nodes, D = numbers of a node.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def clipped(vectors_KD: NDArray[Any], limit: float) -> NDArray[np.float64]:
    r"""Return vectors of at most a norm, [K, D]; shorter ones are as they were.

    .. math:: x_k \min\left(1, \frac{C}{\|x_k\|_2}\right)

    Source: Sun et al., "Can you really backdoor federated learning?", arXiv 1911.07963, section 4.

    Raises:
        ValueError: If the limit C is negative.
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


def coordinate_median(vectors_KD: NDArray[Any]) -> NDArray[np.float64]:
    r"""Return the median of each coordinate, [D].

    .. math:: g_d = \mathrm{med}\{x_{1d}, \ldots, x_{Kd}\}

    The mean of the two middle values for an even number of nodes. If fewer than half of the nodes
    lie, every coordinate is within the range of the honest values.

    Source: Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates",
    ICML 2018, Definition 1.

    Raises:
        ValueError: If there is no node.
    """
    if not len(vectors_KD):
        raise ValueError("the median of no nodes is undefined")
    return np.median(vectors_KD.astype(np.float64), axis=0)


def trimmed_mean(vectors_KD: NDArray[Any], liars: int) -> NDArray[np.float64]:
    r"""Return the mean of each coordinate without its ``liars`` smallest and largest values, [D].

    .. math:: g_d = \frac{1}{K - 2f} \sum_{k=f+1}^{K-f} x_{(k)d}

    with :math:`x_{(1)d} \le \ldots \le x_{(K)d}` and :math:`f` liars. If no more than :math:`f`
    nodes lie, every coordinate is within the range of the honest values.

    Source: Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates",
    ICML 2018, Definition 2, with :math:`\beta = f / K`.

    Raises:
        ValueError: If nothing is left, see `fewest_for_trimmed_mean`.
    """
    if liars < 0 or len(vectors_KD) < fewest_for_trimmed_mean(liars):
        raise ValueError(f"{len(vectors_KD)} nodes, of which {liars} lie, leave nothing")
    ordered_KD = np.sort(vectors_KD.astype(np.float64), axis=0)
    mean_D: NDArray[np.float64] = ordered_KD[liars : len(ordered_KD) - liars].mean(0)
    return mean_D


def fewest_for_trimmed_mean(liars: int) -> int:
    """Return how many nodes there must be so that a trimmed mean is of something."""
    return 2 * liars + 1


def krum(vectors_KD: NDArray[Any], liars: int) -> int:
    r"""Return the number of the node with the least score; of equal ones the first.

    .. math:: s_k = \sum_{j \in N_k} \|x_k - x_j\|^2

    with :math:`N_k` the :math:`K - f - 2` nodes nearest to node :math:`k`, and :math:`f` liars.

    Source: Blanchard et al., "Machine learning with adversaries: Byzantine tolerant gradient
    descent", NeurIPS 2017, section 4; Proposition 4.2 needs :math:`K \ge 2f + 3`.

    Raises:
        ValueError: If there are too few nodes, see `fewest_for_krum`.
    """
    count = len(vectors_KD)
    if liars < 0 or count < fewest_for_krum(liars):
        raise ValueError(
            f"Krum against {liars} liars needs {fewest_for_krum(liars)} nodes: {count}"
        )
    distance_KK = np.zeros((count, count))
    for one in range(count):
        for other in range(one):
            # not through a product of matrices, whose rounding depends on the machine's threads
            apart_D = vectors_KD[one].astype(np.float64) - vectors_KD[other]
            distance_KK[one, other] = distance_KK[other, one] = np.square(apart_D).sum()
    nearest_KN = np.sort(distance_KK, axis=1)[:, 1 : count - liars - 1]  # the first is itself
    return int(nearest_KN.sum(1).argmin())


def fewest_for_krum(liars: int) -> int:
    """Return how many nodes there must be for Krum to tolerate these liars."""
    return 2 * liars + 3
