"""What a gray camera at the street twin's base station sees, by day, at night and in rain.

Every pixel is one ray. Vehicles are boxes: a ray enters one at the greatest of its three entries
into the slabs between opposite faces, if that is before the least of the three exits; only pixels
around the projected box are looked at. For a handful of boxes that takes 0.2 ms a frame of 64 x 64
pixels and 1 ms of 224 x 224 on one core (measured), so no geometry library comes in. The picture
is a strip around the road, stretched to a square: with square pixels vehicles would be a few rows
high.

Shape suffixes in this file: F = frames, S = pixels along either side, R = rows, C = columns,
D = x, y, z.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdtasks.sensing.beams.format import NIGHT, RAIN
from kdtasks.sensing.street.backdrop import Backdrop, Float32, Rays, make_backdrop
from kdtasks.sensing.street.geometry import not_negative, positive, refuse, shares
from kdtasks.sensing.street.traffic import Passage

TOP, SIDE, END = 1.0, 0.8, 0.6
"""Brightness of a box's faces relative to its albedo."""

SUN_D = (0.55, -0.35, 1.0)
"""Direction to the sun."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraConfig:
    """Position and view of the camera.

    Attributes:
        half_view_deg: Half of the horizontal field of view [degrees].
        horizon: Row of the horizon as a share of the picture's height, from its top.
        height_tan: Height of the picture in tangents of elevation.
        shadow: Brightness of ground in the shadow of a vehicle, relative to ground in the sun.
        flicker: Standard deviation of the gain of a frame. The threshold of motion masks has no
            floor, so above 0.01 masks are mostly noise.
        noise: Standard deviation of the noise of a pixel.
        night_gain: Brightness of the scene at night, relative to the day.
        night_noise: Standard deviation of a pixel at night.
        headlight: Brightness of lights at night.
        visibility_m: Distance at which contrast falls to 1/e in rain [m].
        airlight: Brightness that fades in for it.
        rain_noise: Standard deviation of a pixel in rain.
        streaks: Mean number of rain streaks in a frame.
        streak_gain: Brightness that a streak adds.
    """

    half_view_deg: float = 50.0
    horizon: float = 0.25
    height_tan: float = 0.8
    shadow: float = 0.6
    flicker: float = 0.006
    noise: float = 0.008
    night_gain: float = 0.2
    night_noise: float = 0.02
    headlight: float = 0.8
    visibility_m: float = 30.0
    airlight: float = 0.6
    rain_noise: float = 0.008
    streaks: float = 6.0
    streak_gain: float = 0.06

    def __post_init__(self) -> None:
        positive(self, "half_view_deg", "height_tan", "visibility_m")
        shares(self, "horizon", "shadow", "night_gain", "airlight", "headlight", "streak_gain")
        not_negative(self, "flicker", "noise", "night_noise", "rain_noise", "streaks")
        if self.half_view_deg >= 90.0:
            refuse(self, "half_view_deg", "below 90")

    def rays(self, size: int, mast_m: float) -> Rays:
        """Return the rays of a picture of ``size`` x ``size`` pixels from ``mast_m`` [m]."""
        step = (np.arange(size) + 0.5) / size
        across_C = np.tan(np.radians(self.half_view_deg)) * (2.0 * step - 1.0)
        up_R = (self.horizon - step) * self.height_tan
        # No ray lies exactly in a plane: divisions stay finite.
        across_C = np.where(across_C == 0.0, 1e-6, across_C)
        up_R = np.where(up_R == 0.0, 1e-6, up_R)
        return Rays(across_C.astype(np.float32), up_R.astype(np.float32), mast_m)


class Window(NamedTuple):
    """Rows and columns of a picture."""

    rows: slice
    columns: slice


def _span(values: Float32, low: float, high: float) -> slice:
    """Return the range of indices whose values, which rise or fall, may lie in an interval."""
    inside = np.flatnonzero((values >= low) & (values <= high))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def box_window(rays: Rays, low_D: Float32, high_D: Float32) -> Window:
    """Return the pixels around the projection of a box that lies in front of the camera."""
    near, far = float(low_D[1]), float(high_D[1])
    drop, rise = float(low_D[2]) - rays.mast_m, float(high_D[2]) - rays.mast_m
    across = [float(x) / y for x in (low_D[0], high_D[0]) for y in (near, far)]
    up = [z / y for z in (drop, rise) for y in (near, far)]
    return Window(
        _span(rays.up_R, min(up), max(up)), _span(rays.across_C, min(across), max(across))
    )


def cast_box(
    rays: Rays, window: Window, low_D: Float32, high_D: Float32
) -> tuple[Float32, Float32]:
    """Cast the rays of a window at a box.

    Returns:
        Depth along y where a ray enters the box [m], infinite where it misses it, and brightness
        of the face, `TOP`, `SIDE` or `END`; both of shape [R, C].
    """
    across_C = rays.across_C[None, window.columns]
    up_R = rays.up_R[window.rows, None]
    one_C, other_C = low_D[0] / across_C, high_D[0] / across_C
    one_R, other_R = (low_D[2] - rays.mast_m) / up_R, (high_D[2] - rays.mast_m) / up_R
    enter_C, enter_R = np.minimum(one_C, other_C), np.minimum(one_R, other_R)
    side_C = np.maximum(enter_C, low_D[1])
    enter_RC = np.maximum(side_C, enter_R)
    leave_C = np.minimum(np.maximum(one_C, other_C), high_D[1])
    leave_RC = np.minimum(leave_C, np.maximum(one_R, other_R))
    depth_RC = np.where(enter_RC < leave_RC, enter_RC, np.float32(np.inf))
    shade_C = np.where(enter_C > low_D[1], np.float32(END), np.float32(SIDE))
    return depth_RC, np.where(enter_R >= side_C, np.float32(TOP), shade_C)


def _draw_box(
    picture_SS: Float32, depth_SS: Float32, rays: Rays, box: tuple[Float32, Float32], albedo: float
) -> None:
    """Put a box into a picture and its depth; side windows and the gap below are darker."""
    low_D, high_D = box
    window = box_window(rays, low_D, high_D)
    depth_RC, shade_RC = cast_box(rays, window, low_D, high_D)
    seen_RC = depth_RC < depth_SS[window]
    if not seen_RC.any():
        return
    with np.errstate(invalid="ignore"):
        height_RC = (rays.mast_m + rays.up_R[window.rows, None] * depth_RC) / high_D[2]
    upright_RC = shade_RC < TOP
    glass_RC = upright_RC & (height_RC > 0.55) & (height_RC < 0.85)
    shade_RC = np.where(glass_RC, 0.45 * shade_RC, shade_RC)
    shade_RC = np.where(upright_RC & (height_RC < 0.12), 0.3 * shade_RC, shade_RC)
    np.copyto(picture_SS[window], np.float32(albedo) * shade_RC, where=seen_RC)
    np.copyto(depth_SS[window], depth_RC, where=seen_RC)


def _draw_shadow(
    picture_SS: Float32, backdrop: Backdrop, box: tuple[Float32, Float32], shadow: float
) -> None:
    """Darken the ground from which the way to the sun meets a box."""
    low_D, high_D = box
    sun_x, sun_y, _ = SUN_D
    tall = float(high_D[2])
    ends = [float(x) - s * sun_x for x in (low_D[0], high_D[0]) for s in (0.0, tall)]
    sides = [float(y) - s * sun_y for y in (low_D[1], high_D[1]) for s in (0.0, tall)]
    flat_low = np.array([min(ends), min(sides), 0.0], np.float32)
    flat_high = np.array([max(ends), max(sides), 0.0], np.float32)
    window = box_window(backdrop.rays, flat_low, flat_high)
    x_RC, y_R = backdrop.ground_x_SS[window], backdrop.ground_y_S[window.rows, None]
    enter_RC = np.maximum((low_D[0] - x_RC) / sun_x, (high_D[1] - y_R) / sun_y)
    leave_RC = np.minimum((high_D[0] - x_RC) / sun_x, (low_D[1] - y_R) / sun_y)
    dark_RC = np.maximum(enter_RC, 0.0) < np.minimum(leave_RC, tall)
    dark_RC &= backdrop.ground_SS[window]
    picture_SS[window] *= np.where(dark_RC, np.float32(shadow), np.float32(1.0))


def _boxes(passage: Passage, frame: int) -> list[tuple[Float32, Float32]]:
    low_VD = passage.low_FVD[frame].astype(np.float32)
    high_VD = passage.high_FVD[frame].astype(np.float32)
    return list(zip(low_VD, high_VD, strict=True))


def daylight(
    passage: Passage, frame: int, camera: CameraConfig, backdrop: Backdrop
) -> tuple[Float32, Float32]:
    """Render one frame without any disturbance.

    Returns:
        Brightness and depth along y [m], both of shape [S, S].
    """
    picture_SS, depth_SS = backdrop.picture_SS.copy(), backdrop.depth_SS.copy()
    boxes = _boxes(passage, frame)
    # The sun is gone at night and behind clouds in rain.
    if passage.condition not in (NIGHT, RAIN):
        for box in boxes:
            _draw_shadow(picture_SS, backdrop, box, camera.shadow)
    for box, albedo in zip(boxes, passage.albedo_V, strict=True):
        _draw_box(picture_SS, depth_SS, backdrop.rays, box, float(albedo))
    return picture_SS, depth_SS


def _light_up(
    picture_SS: Float32, depth_SS: Float32, passage: Passage, frame: int, rays: Rays
) -> Float32:
    """Return the light of head and tail lamps and of what they shine on, shape [S, S]."""
    light_SS = np.zeros_like(picture_SS)
    for (low_D, high_D), velocity in zip(
        _boxes(passage, frame), passage.velocity_FV[frame], strict=True
    ):
        forward = velocity > 0.0
        front, rear = (high_D[0], low_D[0]) if forward else (low_D[0], high_D[0])
        middle = 0.5 * float(low_D[1] + high_D[1])
        for x, strength in ((front, 1.0), (rear, 0.3)):
            across_C = (rays.across_C * middle - x) / 0.45
            up_R = (rays.up_R * middle + rays.mast_m - 0.7) / 0.35
            glow = np.exp(-0.5 * up_R[:, None] ** 2) * np.exp(-0.5 * across_C[None] ** 2)
            light_SS += strength * glow * (depth_SS >= float(low_D[1]) - 0.1)
        ahead = float(front) + (4.5 if forward else -4.5)
        light_SS += 0.35 * _pool(depth_SS, rays, ahead, middle)
    return light_SS


def _pool(depth_SS: Float32, rays: Rays, x: float, y: float) -> Float32:
    """Return the light that falls on the road around a point ahead of a vehicle, shape [S, S]."""
    across_C = rays.across_C[None]
    lit = np.exp(-(((across_C * depth_SS - x) / 4.0) ** 2) - ((depth_SS - y) / 1.2) ** 2)
    return np.asarray(lit * (rays.up_R[:, None] * depth_SS + rays.mast_m < 0.3), np.float32)


def _streaks(picture_SS: Float32, camera: CameraConfig, rng: np.random.Generator) -> None:
    """Brighten short vertical lines where drops fall past the lens."""
    size = len(picture_SS)
    length, width = max(size // 8, 1), max(size // 64, 1)
    row, column = rng.integers(0, size, (2, rng.poisson(camera.streaks)))
    for r, c in zip(row, column, strict=True):
        picture_SS[r : r + length, c : c + width] += np.float32(camera.streak_gain)


def _expose(
    scene: tuple[Float32, Float32], light_SS: Float32 | None, passage: Passage, camera: CameraConfig
) -> tuple[Float32, float]:
    """Return what reaches the sensor and its pixel noise under the passage's condition."""
    picture_SS, depth_SS = scene
    if light_SS is not None:
        return picture_SS * camera.night_gain + camera.headlight * light_SS, camera.night_noise
    if passage.condition == RAIN:
        clear_SS = np.exp(-depth_SS / camera.visibility_m)
        return picture_SS * clear_SS + camera.airlight * (1.0 - clear_SS), camera.rain_noise
    return picture_SS, camera.noise


def camera_frames(passage: Passage, camera: CameraConfig, *, size: int) -> NDArray[np.uint8]:
    """Take a picture in every frame.

    Args:
        passage: What happens.
        camera: How it is seen.
        size: Pixels along either side.

    Returns:
        Gray values 0..255, shape [F, size, size].
    """
    rng = passage.generator("camera")
    rays = camera.rays(size, passage.street.mast_m)
    backdrop = make_backdrop(passage.street, rays)
    frames_FSS = np.empty((passage.num_frames, size, size), np.uint8)
    for frame in range(passage.num_frames):
        scene = daylight(passage, frame, camera, backdrop)
        light_SS = _light_up(*scene, passage, frame, rays) if passage.condition == NIGHT else None
        picture_SS, noise = _expose(scene, light_SS, passage, camera)
        if passage.condition == RAIN:
            _streaks(picture_SS, camera, rng)
        picture_SS *= np.float32(1.0 + camera.flicker * rng.normal())
        picture_SS += np.float32(noise) * rng.standard_normal(picture_SS.shape, np.float32)
        frames_FSS[frame] = np.rint(255.0 * picture_SS.clip(0.0, 1.0))
    return frames_FSS
