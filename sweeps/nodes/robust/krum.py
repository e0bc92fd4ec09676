"""Krum: the node that is nearest to most others.

Shape suffixes in this file: K = nodes, D = numbers of a node.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def krum(vectors_KD: NDArray[Any], liars: int) -> int:
    r"""Return the number of the node with the least score; of equal ones the first.

    .. math:: s_k = \sum_{j \in N_k} \|x_k - x_j\|^2

    with :math:`N_k` the :math:`K - f - 2` nodes nearest to node :math:`k`, and :math:`f` liars.

    Source: Blanchard et al., "Machine learning with adversaries: Byzantine tolerant gradient
    descent", NeurIPS 2017, section 4; Proposition 4.2 needs :math:`K \ge 2f + 3`.

    Args:
        vectors_KD: A row per node.
        liars: f, nodes that may lie.

    Raises:
        ValueError: If there are too few nodes, see `fewest_nodes`.
    """
    count = len(vectors_KD)
    if liars < 0 or count < fewest_nodes(liars):
        raise ValueError(f"Krum against {liars} liars needs {fewest_nodes(liars)} nodes: {count}")
    distance_KK = np.zeros((count, count))
    for one in range(count):
        for other in range(one):
            # not through a product of matrices, whose rounding depends on the machine's threads
            apart_D = vectors_KD[one].astype(np.float64) - vectors_KD[other]
            distance_KK[one, other] = distance_KK[other, one] = np.square(apart_D).sum()
    nearest_KN = np.sort(distance_KK, axis=1)[:, 1 : count - liars - 1]  # the first is itself
    return int(nearest_KN.sum(1).argmin())


def fewest_nodes(liars: int) -> int:
    """Return how many nodes there must be for Krum to tolerate these liars."""
    return 2 * liars + 3
