"""PCA as a CSI code: the best linear one, and the baseline that every network must beat."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

Float = NDArray[np.float32]


def pca_reconstruction(train: Float, code_length: int, *targets: Float) -> list[Float]:
    """Fit a linear code on training pictures and reconstruct others through it.

    Args:
        train: Training pictures, shape [N, 2, A, C].
        code_length: Numbers per codeword.
        targets: Pictures to send through the code.

    Returns:
        Reconstructions, one per target, of the same shape.
    """
    # Exact, and fast where there are more samples than entries.
    code = PCA(n_components=code_length, svd_solver="covariance_eigh")
    code.fit(train.reshape(len(train), -1))
    return [
        code.inverse_transform(code.transform(target.reshape(len(target), -1)))
        .reshape(target.shape)
        .astype(np.float32)
        for target in targets
    ]
