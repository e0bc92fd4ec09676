"""Boxes in the way: the one test of blockage that radio and radar of the street twin share.

Shape suffixes in this file: V = boxes, D = x, y, z.
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def blocked(start_D: Float, end_D: Float, low_VD: Float, high_VD: Float) -> Bool:
    """Return whether the way between two points crosses any of the boxes.

    Args:
        start_D: Where it starts [m], shape [..., 3].
        end_D: Where it ends [m], shape [..., 3].
        low_VD: Lower corners [m], shape [..., V, 3], leading axes as above.
        high_VD: Upper corners [m], same shape.

    Returns:
        Shape [...].
    """
    way_D = (end_D - start_D)[..., None, :]
    way_D = np.where(np.abs(way_D) < 1e-12, 1e-12, way_D)  # what is shorter divides to infinity
    one_VD = (low_VD - start_D[..., None, :]) / way_D
    other_VD = (high_VD - start_D[..., None, :]) / way_D
    enter_V = np.minimum(one_VD, other_VD).max(axis=-1)
    leave_V = np.maximum(one_VD, other_VD).min(axis=-1)
    return np.asarray(((enter_V < leave_V) & (enter_V < 1.0) & (leave_V > 0.0)).any(axis=-1))
