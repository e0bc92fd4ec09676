"""Motion masks of camera frames, the input of the image networks.

Nguyen et al., section IV, and the released pre-processing: gray values in [0, 1], Gaussian blur of
1 pixel, absolute difference of neighbouring frames, threshold at a tenth of its maximum.

Shape suffixes in this file: F = frames, S = pixels along either side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from kdtasks.contract.errors import DataError

BLUR_PX = 1.0
"""Standard deviation of the blur [pixels]; borders are reflected, the kernel ends at 4 of it."""

THRESHOLD = 0.1
"""Share of the greatest difference above which a pixel has moved."""


def motion_masks(frames_FSS: NDArray[Any]) -> NDArray[np.uint8]:
    """Return what moved from each frame to the next: 1 where it did, 0 elsewhere.

    Two equal frames give an empty mask; apart from that the threshold has no floor, so that the
    mask of two frames that differ by noise alone is noise.

    Args:
        frames_FSS: Gray frames in order, uint8 in 0..255 or float in [0, 1], shape [F, S, S].

    Returns:
        Shape [F - 1, S, S], or no mask for fewer than 2 frames.

    Raises:
        DataError: If the frames are not of such a shape.
    """
    if frames_FSS.ndim != 3:
        raise DataError(f"frames of shape {frames_FSS.shape}: needs frames, rows and columns")
    masks_FSS = np.zeros((max(len(frames_FSS) - 1, 0), *frames_FSS.shape[1:]), np.uint8)
    before = None
    for f, frame_SS in enumerate(frames_FSS):
        blurred = gaussian_filter(_gray(frame_SS), BLUR_PX, mode="reflect", truncate=4.0)
        if before is not None:
            change = np.abs(blurred - before)
            masks_FSS[f - 1] = change > np.float32(THRESHOLD) * change.max()
        before = blurred
    return masks_FSS


def _gray(frame_SS: NDArray[Any]) -> NDArray[np.float32]:
    if frame_SS.dtype == np.uint8:
        return frame_SS * np.float32(1.0 / 255.0)
    return frame_SS.astype(np.float32)
