import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from street_examples import AWAY, STREET, placed
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.sensing.beams.format import DAY, NIGHT, RAIN
from kdtasks.sensing.deepsense.camera_masks import motion_masks
from kdtasks.sensing.street.backdrop import make_backdrop
from kdtasks.sensing.street.camera import (
    END,
    SIDE,
    SUN_D,
    TOP,
    CameraConfig,
    Window,
    box_window,
    camera_frames,
    cast_box,
    daylight,
)
from kdtasks.sensing.street.traffic import KINDS, build_passage

CAMERA = CameraConfig()
CLEAN = CameraConfig(flicker=0.0, noise=0.0, night_noise=0.0, rain_noise=0.0, streaks=0.0)
EVERYTHING = Window(slice(None), slice(None))

PLACES = st.tuples(st.floats(-25.0, 25.0), st.floats(5.0, 22.0))
SIZES = st.integers(8, 40)


def box_of(passage, vehicle=0):
    low, high = passage.low_FVD[0, vehicle], passage.high_FVD[0, vehicle]
    return low.astype(np.float32), high.astype(np.float32)


def ray_of(camera, size, row, column):
    across = math.tan(math.radians(camera.half_view_deg)) * (2 * (column + 0.5) / size - 1)
    return across, 1.0, (camera.horizon - (row + 0.5) / size) * camera.height_tan


def cast_one_ray(ray, low, high, mast_m):
    """A second implementation: depth and face by trying all six faces; margin to the edges."""
    shades = {0: END, 1: SIDE, 2: TOP}
    best, shade, margin = math.inf, None, math.inf
    for axis in range(3):
        for plane in (low, high):
            if abs(ray[axis]) < 1e-9:
                continue
            depth = (plane[axis] - (mast_m if axis == 2 else 0.0)) / ray[axis]
            hit = [depth * ray[i] + (mast_m if i == 2 else 0.0) for i in range(3)]
            inside = min(min(hit[i] - low[i], high[i] - hit[i]) for i in range(3) if i != axis)
            margin = min(margin, abs(inside))
            if inside > 0.0 and 0.0 < depth < best:
                best, shade = depth, shades[axis]
    return best, shade, margin


@settings(max_examples=times(40))
@given(PLACES, st.sampled_from(sorted(KINDS)), SIZES)
def test_casting_is_that_of_a_loop_over_rays_and_faces(place, kind, size):
    low, high = box_of(placed(place, size=KINDS[kind]))
    depth_RC, shade_RC = cast_box(CAMERA.rays(size, 4.5), EVERYTHING, low, high)
    for row in range(size):
        for column in range(size):
            ray = ray_of(CAMERA, size, row, column)
            depth, shade, margin = cast_one_ray(ray, low, high, 4.5)
            if margin < 1e-3:
                continue
            assert depth_RC[row, column] == pytest.approx(depth, rel=1e-4)
            assert shade is None or shade_RC[row, column] == pytest.approx(shade)


@settings(max_examples=times(100))
@given(PLACES, st.sampled_from(sorted(KINDS)), SIZES)
def test_no_ray_outside_the_window_meets_the_box(place, kind, size):
    low, high = box_of(placed(place, size=KINDS[kind]))
    rays = CAMERA.rays(size, 4.5)
    hit = np.isfinite(cast_box(rays, EVERYTHING, low, high)[0])
    hit[box_window(rays, low, high)] = False
    assert not hit.any()


def seen(passage, size):
    """Return where the vehicles are in the picture."""
    backdrop = make_backdrop(passage.street, CAMERA.rays(size, passage.street.mast_m))
    return daylight(passage, 0, CAMERA, backdrop)[1] < backdrop.depth_SS


@settings(max_examples=times(60))
@given(st.floats(-0.8, 0.8), st.floats(8.0, 22.0), st.sampled_from([64, 224]))
def test_the_silhouette_is_at_the_vehicles_columns(tangent, y, size):
    passage = placed((tangent * y, y))
    low, high = box_of(passage)
    tangents = [float(x / d) for x in (low[0], high[0]) for d in (low[1], high[1])]
    edges = [size * (t / math.tan(math.radians(50.0)) + 1) / 2 for t in tangents]
    columns = np.flatnonzero(seen(passage, size).any(axis=0)) + 0.5
    assert columns.min() == pytest.approx(np.clip(min(edges), 0, size), abs=1.01)
    assert columns.max() == pytest.approx(np.clip(max(edges), 0, size), abs=1.01)
    centre = size * (tangent / math.tan(math.radians(50.0)) + 1) / 2
    if min(edges) > 0.0 and max(edges) < size:
        weight = seen(passage, size).sum(axis=0)
        middle = weight @ (np.arange(size) + 0.5) / weight.sum()
        # Nearer parts are larger: the centroid is off the centre by a part of the extent.
        assert abs(middle - centre) < 0.15 * (max(edges) - min(edges)) + 1.0


def test_vehicles_are_a_good_part_of_the_picture():
    # Camera twin, section 1: the stretched strip makes a van 12 to 15 of 64 rows high, and more.
    for y in STREET.lanes_m:
        rows = np.flatnonzero(seen(placed((0.0, y)), 64).any(axis=1))
        assert 8 <= np.ptp(rows) + 1 <= 40


def test_nearer_vehicles_hide_farther_ones():
    size = 64
    both = placed((0.0, 9.5), (0.0, 17.0))
    backdrop = make_backdrop(both.street, CAMERA.rays(size, 4.5))
    alone = placed((0.0, 9.5))
    near = seen(alone, size)
    swapped = placed((0.0, 17.0), (0.0, 9.5))
    for passage in (both, swapped):
        picture = daylight(passage, 0, CAMERA, backdrop)[0]
        np.testing.assert_array_equal(picture[near], daylight(alone, 0, CAMERA, backdrop)[0][near])


def test_an_empty_street_does_not_move():
    empty = placed(AWAY)
    many = replace(empty, low_FVD=empty.low_FVD.repeat(4, 0), high_FVD=empty.high_FVD.repeat(4, 0))
    frames = camera_frames(many, CLEAN, size=64)
    backdrop = make_backdrop(STREET, CLEAN.rays(64, STREET.mast_m))
    np.testing.assert_allclose(frames[0] / 255.0, backdrop.picture_SS.clip(0, 1), atol=0.003)
    assert not motion_masks(frames).any()


def test_shadows_are_where_a_ray_to_the_sun_meets_the_vehicle():
    size, passage = 48, placed((2.0, 13.0))
    low, high = passage.low_FVD[0, 0], passage.high_FVD[0, 0]
    backdrop = make_backdrop(passage.street, CAMERA.rays(size, 4.5))
    ratio = daylight(passage, 0, CAMERA, backdrop)[0] / backdrop.picture_SS
    body = seen(passage, size)
    dark = 0
    for row in range(size):
        for column in range(size):
            across, _, up = ray_of(CAMERA, size, row, column)
            if body[row, column] or up >= 0.0 or -4.5 / up >= STREET.facade_m:
                continue
            ground = np.array([across, 1.0, up]) * (-4.5 / up) + [0.0, 0.0, 4.5]
            way = ground + np.linspace(0.0, 4.0, 801)[:, None] * np.array(SUN_D)
            inside = np.minimum(way - low, high - way).min(axis=1).max()
            if abs(inside) > 0.02:
                shaded = inside > 0.0
                assert ratio[row, column] == pytest.approx(CAMERA.shadow if shaded else 1.0)
                dark += shaded
    assert dark > 5


def conditions(passage, camera=CAMERA):
    return [
        camera_frames(replace(passage, condition=c), camera, size=64).astype(float)
        for c in (DAY, NIGHT, RAIN)
    ]


def test_night_is_darker_and_rain_is_flatter():
    day, night, rain = conditions(build_passage(STREET, 0))
    assert night.mean() < 0.5 * day.mean()
    assert np.mean([f.std() for f in rain]) < 0.6 * np.mean([f.std() for f in day])


def test_night_and_rain_make_masks_less_like_those_without_noise():
    common, either = np.zeros(3), np.zeros(3)
    for index in range(6):
        passage = build_passage(STREET, index)
        truth = motion_masks(camera_frames(replace(passage, condition=DAY), CLEAN, size=64))
        for condition, frames in enumerate(conditions(passage)):
            masks = motion_masks(frames.astype(np.uint8))
            common[condition] += np.sum(masks & truth)
            either[condition] += np.sum(masks | truth)
    day, night, rain = common / either
    assert day > 0.6
    assert max(night, rain) < day - 0.2


def test_headlights_shine_ahead():
    size = 64
    for velocity, side in ((10.0, 1.0), (-10.0, -1.0)):
        passage = placed((0.0, 13.0, velocity), condition=NIGHT)
        (frame,) = camera_frames(passage, CLEAN, size=size).astype(float)
        (dark,) = camera_frames(passage, replace(CLEAN, headlight=0.0), size=size).astype(float)
        light = (frame - dark).sum(axis=0)
        centre = light @ (np.arange(size) + 0.5) / light.sum()
        assert side * (centre - size / 2) > 5.0


def test_day_masks_are_as_dense_as_measured():
    masks = [
        motion_masks(
            camera_frames(replace(build_passage(STREET, i), condition=DAY), CAMERA, size=64)
        )
        for i in range(20)
    ]
    assert 0.03 < np.concatenate(masks).mean() < 0.09


@pytest.mark.parametrize("size", [63, 64])
def test_every_size_shows_the_same_street(size):
    passage = replace(build_passage(STREET, 2), condition=DAY)
    coarse = camera_frames(passage, CLEAN, size=size)[4]
    fine = camera_frames(passage, CLEAN, size=4 * size)[4].astype(float)
    pooled = fine.reshape(size, 4, size, 4).mean(axis=(1, 3))
    assert np.corrcoef(coarse.ravel(), pooled.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"half_view_deg": 90.0}, "half_view_deg=90.0"),
        ({"horizon": -0.1}, "horizon=-0.1"),
        ({"noise": -0.1}, "noise=-0.1"),
        ({"visibility_m": 0.0}, "visibility_m=0.0"),
        ({"night_gain": 1.5}, "night_gain=1.5"),
        ({"streaks": math.inf}, "streaks=inf"),
    ],
)
def test_an_impossible_camera_is_refused(changes, message):
    with pytest.raises(ConfigError, match=f"CameraConfig: .*{message}"):
        CameraConfig(**changes)
