"""What a planar laser scanner at the street twin's base station measures of vehicles.

Static returns are removed, as in the SCR scans of DeepSense 6G scenarios 8 and 9, so a ray that
meets no vehicle has range 0.

Shape suffixes in this file: F = frames, V = vehicles, R = rays, D = x, y, z.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdtasks.sensing.beams.format import NUM_RAYS
from kdtasks.sensing.street.geometry import positive, ranges, refuse, shares
from kdtasks.sensing.street.traffic import Passage

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class LidarConfig:
    """How the scanner measures.

    Attributes:
        height_m: Height of its plane [m]; vehicles that are lower are not seen.
        max_range_m: Longest range that is reported [m].
        noise_m: Standard deviation of ranges [m].
        dropout: Probability that a return is lost.
        clutter: Probability that a ray reports a range of no vehicle.
        clutter_range_m: Nearest and farthest of these [m].
    """

    height_m: float = 0.8
    max_range_m: float = 45.0
    noise_m: float = 0.03
    dropout: float = 0.05
    clutter: float = 0.01
    clutter_range_m: tuple[float, float] = (2.0, 40.0)

    def __post_init__(self) -> None:
        positive(self, "height_m", "max_range_m", "clutter_range_m")
        shares(self, "dropout", "clutter")
        ranges(self, "clutter_range_m")
        if not 0.0 <= self.noise_m < 1.0:
            refuse(self, "noise_m", "in [0, 1)")


def ray_bearings() -> Float:
    """Return the rays' angles from +x towards +y [rad], shape [R], 0 to pi."""
    return np.linspace(0.0, np.pi, NUM_RAYS)


def true_ranges(passage: Passage, lidar: LidarConfig) -> Float:
    """Return the distance to the nearest vehicle along every ray [m], shape [F, R]; 0 for none."""
    bearing_R = ray_bearings()
    way_DR1 = np.stack([np.cos(bearing_R), np.sin(bearing_R)])[..., None]
    way_DR1 = np.where(np.abs(way_DR1) < 1e-12, 1e-12, way_DR1)
    low_FVD, high_FVD = passage.low_FVD, passage.high_FVD
    one = [low_FVD[:, None, :, i] / way_DR1[i] for i in range(2)]
    other = [high_FVD[:, None, :, i] / way_DR1[i] for i in range(2)]
    enter_FRV = np.maximum(np.minimum(one[0], other[0]), np.minimum(one[1], other[1]))
    leave_FRV = np.minimum(np.maximum(one[0], other[0]), np.maximum(one[1], other[1]))
    tall_FV = (low_FVD[..., 2] <= lidar.height_m) & (lidar.height_m <= high_FVD[..., 2])
    hit_FRV = (enter_FRV < leave_FRV) & (enter_FRV > 0.0) & tall_FV[:, None]
    range_FR = np.where(hit_FRV, enter_FRV, np.inf).min(axis=2, initial=np.inf)
    return np.where(range_FR < lidar.max_range_m, range_FR, 0.0)


def scans(passage: Passage, lidar: LidarConfig) -> NDArray[np.float32]:
    """Measure a scan in every frame: ranges [m], shape [F, R], 0 where nothing returns."""
    rng = passage.generator("lidar")
    range_FR = true_ranges(passage, lidar)
    noise_FR = lidar.noise_m * rng.normal(size=range_FR.shape)
    kept_FR = (range_FR > 0.0) & (rng.random(range_FR.shape) >= lidar.dropout)
    clutter_FR = rng.random(range_FR.shape) < lidar.clutter
    false_FR = rng.uniform(*lidar.clutter_range_m, range_FR.shape)
    seen_FR = np.where(kept_FR, np.maximum(range_FR + noise_FR, 0.0), 0.0)
    return np.where(clutter_FR, false_FR, seen_FR).astype(np.float32)
