"""Coordinate-wise median.

Shape suffixes in this file: K = nodes, D = numbers of a node.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def coordinate_median(vectors_KD: NDArray[Any]) -> NDArray[np.float64]:
    r"""Return the median of each coordinate, [D].

    .. math:: g_d = \mathrm{med}\{x_{1d}, \ldots, x_{Kd}\}

    The mean of the two middle values for an even number of nodes. If fewer than half of the nodes
    lie, every coordinate is within the range of the honest values.

    Source: Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates",
    ICML 2018, Definition 1.

    Args:
        vectors_KD: A row per node.

    Raises:
        ValueError: If there is no node.
    """
    if not len(vectors_KD):
        raise ValueError("the median of no nodes is undefined")
    return np.median(vectors_KD.astype(np.float64), axis=0)
