"""PCA as a CSI code: the best linear one, and the baseline that every network must beat."""

import numpy as np
from numpy.typing import NDArray

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
    # It takes a second to import, and every process that trains imports this module.
    from sklearn.decomposition import PCA

    flat_NK = train.reshape(len(train), -1)
    # Exact, and fast where there are more samples than entries. N samples span no more than N.
    code = PCA(n_components=min(code_length, *flat_NK.shape), svd_solver="covariance_eigh")
    code.fit(flat_NK)
    return [
        code.inverse_transform(code.transform(target.reshape(len(target), -1)))
        .reshape(target.shape)
        .astype(np.float32)
        for target in targets
    ]
