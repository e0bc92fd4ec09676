"""What stands still in front of the street twin's camera: road, lines, pavement, facade, poles.

Shape suffixes in this file: S = pixels along either side, R = rows, C = columns.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdtasks.learning.random import numpy_generator
from kdtasks.sensing.street.traffic import StreetConfig, pole_places

Float32 = NDArray[np.float32]

SKY_DEPTH_M = 200.0
"""Depth that fog and lamps assume for the sky [m]."""

FACADE_HEIGHT_M = 8.0
"""Height of the facade [m]."""

POLE_HEIGHT_M = 6.0
"""Height of the poles [m]."""

POLE_WIDTH_M = 0.3
"""Width of the poles [m]."""


class Rays(NamedTuple):
    """Rays of a picture: the one of row r and column c runs along (across_C[c], 1, up_R[r]).

    Attributes:
        across_C: Tangents of the columns' bearings from +y, rising.
        up_R: Tangents of the rows' elevations, falling.
        mast_m: Height of the camera [m].
    """

    across_C: Float32
    up_R: Float32
    mast_m: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Backdrop:
    """The empty street.

    Attributes:
        rays: The rays it is seen by.
        picture_SS: Brightness in [0, 1].
        depth_SS: Depth along y [m].
        ground_SS: Where rays meet the ground.
        ground_x_SS: x where they do [m].
        ground_y_S: y where they do, by row [m]; infinite above the horizon.
    """

    rays: Rays
    picture_SS: Float32
    depth_SS: Float32
    ground_SS: NDArray[np.bool_]
    ground_x_SS: Float32
    ground_y_S: Float32


def make_backdrop(street: StreetConfig, rays: Rays) -> Backdrop:
    """Draw the empty street; the same street looks the same at every call."""
    rng = numpy_generator(street.site_seed, "street backdrop")
    shape = (len(rays.up_R), len(rays.across_C))
    with np.errstate(divide="ignore"):
        ground_y_R = np.where(rays.up_R < 0.0, -rays.mast_m / rays.up_R, np.inf)
    ground_y_R = ground_y_R.astype(np.float32)
    ground_RC = np.broadcast_to(ground_y_R[:, None] < street.facade_m, shape)
    flat_y_R = np.minimum(ground_y_R, np.float32(street.facade_m))
    x_RC = rays.across_C * flat_y_R[:, None]
    height_R = rays.mast_m + rays.up_R * street.facade_m
    wall_RC = _facade(rays.across_C * street.facade_m, height_R, rng)
    road_RC = _road(street, x_RC, flat_y_R, rng)
    picture_RC = np.where(ground_RC, road_RC, wall_RC)
    sky_RC = np.broadcast_to(height_R[:, None] > FACADE_HEIGHT_M, shape)
    picture_RC = np.where(sky_RC, np.float32(0.85), picture_RC)
    depth_RC = np.where(sky_RC, np.float32(SKY_DEPTH_M), flat_y_R[:, None])
    pole_RC = _poles(street, rays) & (depth_RC > street.pole_row_m)
    return Backdrop(
        rays=rays,
        picture_SS=np.where(pole_RC, 0.2, picture_RC).astype(np.float32),
        depth_SS=np.where(pole_RC, street.pole_row_m, depth_RC).astype(np.float32),
        ground_SS=ground_RC,
        ground_x_SS=x_RC.astype(np.float32),
        ground_y_S=ground_y_R,
    )


def _road(
    street: StreetConfig, x_RC: Float32, y_R: Float32, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Asphalt with dashed lines between the lanes, pavement beyond the outer ones."""
    road_RC = 0.38 + 0.04 * rng.normal(size=x_RC.shape)
    for one, other in pairwise(sorted(street.lanes_m)):
        line_R = np.abs(y_R - 0.5 * (one + other)) < 0.25
        dash_RC = np.mod(x_RC, 6.0) < 3.0
        road_RC = np.where(line_R[:, None] & dash_RC, 0.75, road_RC)
    kerb_R = (y_R > max(street.lanes_m) + 1.9) | (y_R < min(street.lanes_m) - 1.9)
    return np.where(kerb_R[:, None], 0.55 + 0.02 * rng.normal(size=x_RC.shape), road_RC)


def _facade(x_C: Float32, height_R: Float32, rng: np.random.Generator) -> NDArray[np.float64]:
    """A textured wall with rows of windows."""
    texture_RC = 0.12 * np.sin(0.9 * x_C)[None] * np.sin(1.3 * height_R)[:, None]
    wall_RC = 0.5 + texture_RC + 0.06 * rng.normal(size=texture_RC.shape)
    window_C = np.mod(x_C, 4.0) < 1.6
    window_R = (np.mod(height_R, 3.0) > 1.2) & (np.mod(height_R, 3.0) < 2.4)
    return np.where(window_R[:, None] & window_C[None], 0.3, wall_RC)


def _poles(street: StreetConfig, rays: Rays) -> NDArray[np.bool_]:
    """Return where poles are in the picture, seen as strips."""
    x_C = rays.across_C * street.pole_row_m
    near_C = (np.abs(x_C[:, None] - pole_places(street)) < 0.5 * POLE_WIDTH_M).any(axis=1)
    low_R = rays.mast_m + rays.up_R * street.pole_row_m < POLE_HEIGHT_M
    return np.asarray(low_R[:, None] & near_C)
