r"""Memory as a CSI code: a channel of the training split, times a complex gain.

The channel is the one that is most like the user's,

.. math:: \hat h = c\, t_n, \qquad (n, c) = \arg\min_{n, c} \lVert h - c\, t_n \rVert^2, \qquad
          c = \frac{t_n^{\mathsf H} h}{\lVert t_n \rVert^2}

and then the report is the number n and the gain c; or it is that of the nearest training user in
space, which is what neighbours alone give away. What a network gains over these cannot be copied.

Shape suffixes in this file: B = users, N = training users, K = entries of a complex matrix.
"""

import numpy as np
from numpy.typing import NDArray

from kdtasks.learning.metrics import PICTURE_ZERO

Float = NDArray[np.float32]

TRAINING_PART = 2048
"""Training users compared at a time, which bounds memory."""


def nearest_reconstruction(train: Float, target: Float) -> Float:
    """Reconstruct pictures from the nearest training picture, each with a complex gain.

    Args:
        train: Training pictures, shape [N, 2, A, C].
        target: Pictures to reconstruct, shape [B, 2, A, C].
    """
    wanted_BK = _matrices(target)
    gain_B = np.zeros(len(target), np.complex64)
    found_BK = np.zeros_like(wanted_BK)
    for start in range(0, len(train), TRAINING_PART):
        known_NK = _matrices(train[start : start + TRAINING_PART])
        norm_N1 = np.linalg.norm(known_NK, axis=1, keepdims=True)
        known_NK /= np.where(norm_N1 > 0.0, norm_N1, 1.0)
        projection_BN = wanted_BK @ known_NK.conj().T
        best_B = np.abs(projection_BN).argmax(axis=1)
        projected_B = projection_BN[np.arange(len(target)), best_B]
        better_B = np.abs(projected_B) > np.abs(gain_B)
        gain_B = np.where(better_B, projected_B, gain_B)
        found_BK[better_B] = known_NK[best_B[better_B]]
    return _pictures(gain_B[:, None] * found_BK, target.shape)


def copied(known: Float, target: Float) -> Float:
    """Reconstruct pictures from one training picture each, with the best complex gain.

    Args:
        known: A training picture for each user, shape [B, 2, A, C].
        target: Pictures to reconstruct, of the same shape.
    """
    known_BK, wanted_BK = _matrices(known), _matrices(target)
    power_B = np.square(np.abs(known_BK)).sum(axis=1)
    gain_B = (known_BK.conj() * wanted_BK).sum(axis=1) / np.where(power_B > 0.0, power_B, 1.0)
    return _pictures(gain_B[:, None] * known_BK, target.shape)


def _matrices(pictures: Float) -> NDArray[np.complex64]:
    parts_B2K = pictures.reshape(len(pictures), 2, -1) - np.float32(PICTURE_ZERO)
    return np.asarray(parts_B2K[:, 0] + 1j * parts_B2K[:, 1], np.complex64)


def _pictures(matrices_BK: NDArray[np.complex64], shape: tuple[int, ...]) -> Float:
    parts_B2K = np.stack([matrices_BK.real, matrices_BK.imag], axis=1)
    return (parts_B2K.reshape(shape) + PICTURE_ZERO).astype(np.float32)
