"""What a satellite receiver on the street twin's target reports.

Shape suffixes in this file: F = frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdtasks.sensing.street.geometry import not_negative
from kdtasks.sensing.street.traffic import Passage


@dataclass(frozen=True, kw_only=True, slots=True)
class GpsConfig:
    """How wrong the position is.

    Attributes:
        bias_m: Standard deviation of the error that lasts through a passage, per axis [m].
        noise_m: Standard deviation of the error of each frame, per axis [m].
    """

    bias_m: float = 0.8
    noise_m: float = 0.4

    def __post_init__(self) -> None:
        not_negative(self, "bias_m", "noise_m")


def positions(passage: Passage, gps: GpsConfig) -> NDArray[np.float32]:
    """Return the reported x and y of the target relative to the base station [m], shape [F, 2]."""
    rng = passage.generator("gps")
    bias = gps.bias_m * rng.normal(size=2)
    noise = gps.noise_m * rng.normal(size=(passage.num_frames, 2))
    return (passage.antenna[:, :2] + bias + noise).astype(np.float32)
