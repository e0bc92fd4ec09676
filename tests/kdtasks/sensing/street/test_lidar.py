import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from street_examples import AWAY, placed
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.sensing.street.gps import GpsConfig, positions
from kdtasks.sensing.street.lidar import LidarConfig, ray_bearings, scans, true_ranges
from kdtasks.sensing.street.traffic import KINDS

LIDAR = LidarConfig()
EXACT = LidarConfig(noise_m=0.0, dropout=0.0, clutter=0.0)

PLACES = st.tuples(st.floats(-25.0, 25.0), st.floats(5.0, 25.0))


def many(passage, count):
    """Return the passage with its frame repeated."""
    low, high = (getattr(passage, name).repeat(count, 0) for name in ("low_FVD", "high_FVD"))
    return replace(passage, low_FVD=low, high_FVD=high)


def range_of_one_ray(bearing, passage, lidar):
    """A second implementation: where the ray crosses each of the four sides, one at a time."""
    nearest = math.inf
    cos, sin = math.cos(bearing), math.sin(bearing)
    for low, high in zip(passage.low_FVD[0], passage.high_FVD[0], strict=True):
        if not low[2] <= lidar.height_m <= high[2]:
            continue
        for x in (low[0], high[0]):
            if abs(cos) > 1e-12 and x / cos > 0.0 and low[1] < x / cos * sin < high[1]:
                nearest = min(nearest, x / cos)
        for y in (low[1], high[1]):
            if abs(sin) > 1e-12 and y / sin > 0.0 and low[0] < y / sin * cos < high[0]:
                nearest = min(nearest, y / sin)
    return nearest if nearest < lidar.max_range_m else 0.0


@settings(max_examples=times(40))
@given(st.lists(PLACES, min_size=1, max_size=4), st.sampled_from(sorted(KINDS)))
def test_ranges_are_those_of_a_loop_over_rays_and_sides(places, kind):
    passage = placed(*places, size=KINDS[kind])
    found = true_ranges(passage, EXACT)[0]
    expected = [range_of_one_ray(bearing, passage, EXACT) for bearing in ray_bearings()]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@settings(max_examples=times(60))
@given(PLACES)
def test_the_hit_is_at_the_vehicles_range_and_bearing(place):
    passage = placed(place)
    ray = np.abs(ray_bearings() - math.atan2(place[1], place[0])).argmin()
    low, high = passage.low_FVD[0, 0, :2], passage.high_FVD[0, 0, :2]
    inside = np.clip(np.zeros(2), low, high)
    assert np.linalg.norm(inside) - 1e-9 <= true_ranges(passage, EXACT)[0, ray]
    assert true_ranges(passage, EXACT)[0, ray] < math.hypot(*place)
    hit = true_ranges(passage, EXACT)[0] > 0.0
    corners = [math.atan2(y, x) for x in (low[0], high[0]) for y in (low[1], high[1])]
    bearing = ray_bearings()[hit]
    step = math.pi / 215
    assert min(corners) <= bearing.min() < min(corners) + step
    assert max(corners) - step < bearing.max() <= max(corners)


def test_no_vehicle_no_return():
    assert (scans(placed(AWAY), EXACT) == 0.0).all()


def test_a_scan_passes_over_low_vehicles_and_ends_at_its_range():
    assert (true_ranges(placed((0.0, 9.5)), replace(EXACT, height_m=2.5)) == 0.0).all()
    assert (true_ranges(placed((0.0, 9.5)), replace(EXACT, max_range_m=8.0)) == 0.0).all()


def test_dropouts_clutter_and_noise_are_as_frequent_as_wanted():
    passage = many(placed((0.0, 9.5), (10.0, 13.0)), 400)
    truth, scan = true_ranges(passage, LIDAR), scans(passage, LIDAR)
    hit = truth > 0.0
    # 0.95 * 0.99 of the returns are near the truth; of 0 ranges 1 % are not.
    near = np.abs(scan - truth) < 6.0 * LIDAR.noise_m
    assert near[hit].mean() == pytest.approx(0.95 * 0.99, abs=0.01)
    assert (scan[~hit] > 0.0).mean() == pytest.approx(0.01, abs=0.002)
    error = (scan - truth)[hit & near]
    assert error.std() == pytest.approx(LIDAR.noise_m, rel=0.05)
    assert abs(error.mean()) < 0.002
    false = scan[~hit & (scan > 0.0)]
    assert LIDAR.clutter_range_m[0] <= false.min() <= false.max() <= LIDAR.clutter_range_m[1]


def test_gps_errs_by_a_constant_and_by_noise():
    gps = GpsConfig(bias_m=0.8, noise_m=0.4)
    runs = [many(replace(placed((3.0, 13.0)), index=i), 50) for i in range(500)]
    error = np.stack([positions(run, gps) for run in runs]) - [3.0, 13.0]
    assert np.std(error.mean(axis=1)) == pytest.approx(math.hypot(0.8, 0.4 / 50**0.5), rel=0.07)
    assert np.std(error - error.mean(axis=1, keepdims=True)) == pytest.approx(0.4, rel=0.03)
    exact = positions(placed((3.0, 13.0)), GpsConfig(bias_m=0.0, noise_m=0.0))
    np.testing.assert_array_equal(exact, np.float32([[3.0, 13.0]]))


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (LidarConfig, {"dropout": 1.5}, "dropout=1.5"),
        (LidarConfig, {"clutter_range_m": (4.0, 2.0)}, "clutter_range_m"),
        (LidarConfig, {"noise_m": -0.1}, "noise_m=-0.1"),
        (LidarConfig, {"max_range_m": 0.0}, "max_range_m=0.0"),
        (GpsConfig, {"bias_m": -0.1}, "bias_m=-0.1"),
    ],
)
def test_an_impossible_sensor_is_refused(config, changes, message):
    with pytest.raises(ConfigError, match=f"{config.__name__}: .*{message}"):
        config(**changes)
