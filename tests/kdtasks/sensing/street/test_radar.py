import cmath
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import speed_of_light
from street_examples import AWAY, placed, still
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.sensing.beams.radar_maps import radar_maps
from kdtasks.sensing.street.radar import (
    Points,
    RadarConfig,
    maps,
    radar_cubes,
    receive,
    trace_radar,
)
from kdtasks.sensing.street.traffic import build_passage

RADAR = RadarConfig()
CLEAN = RadarConfig(noise=0.0, static_points=0)
POINT = replace(CLEAN, points=1)


def one_point(distance=15.0, speed=3.0, sine=0.2, amplitude=1.0):
    return Points(*(np.array([value]) for value in (amplitude, distance, speed, sine)))


def sample_of_one_point(radar, distance, speed, sine, at):
    """The formula, one sample at a time."""
    m, n, c = at
    wavelength = speed_of_light / radar.start_hz
    doppler_hz = 2.0 * speed / wavelength
    beat_hz = 2.0 * radar.slope_hz_s * distance / speed_of_light + doppler_hz
    turns = 2.0 * distance / wavelength + 0.5 * m * sine
    turns += beat_hz * n / radar.sample_rate_hz + doppler_hz * c * radar.chirp_s
    return cmath.exp(2j * math.pi * math.fmod(turns, 1.0))


@settings(max_examples=times(20))
@given(
    st.lists(
        st.tuples(st.floats(5.0, 48.0), st.floats(-14.0, 14.0), st.floats(-0.9, 0.9)),
        min_size=1,
        max_size=4,
    ),
    st.tuples(st.integers(0, 3), st.integers(0, 255), st.integers(0, 127)),
)
def test_cubes_are_sums_over_points(points, at):
    columns = np.array(points).T
    cube = receive(Points(np.ones(len(points)), *columns), RADAR)
    expected = sum(sample_of_one_point(RADAR, *point, at) for point in points)
    assert abs(cube[at] - expected) < 1e-3


def test_bins_are_those_of_the_published_radar():
    assert RADAR.range_bin_m == pytest.approx(0.195, abs=5e-4)
    assert RADAR.speed_bin_m_s * 3.6 == pytest.approx(0.84, abs=5e-3)


@settings(max_examples=times(40))
@given(
    st.floats(3.0, 24.0),
    st.floats(1.0, 13.0) | st.floats(-13.0, -1.0),
    st.floats(-0.9, 0.9),
)
def test_a_point_peaks_at_its_range_its_speed_and_its_angle(distance, speed, sine):
    range_angle, doppler_angle = radar_maps(receive(one_point(distance, speed, sine), CLEAN))
    range_bin, angle = np.unravel_index(range_angle.argmax(), range_angle.shape)
    doppler, same_angle = np.unravel_index(doppler_angle.argmax(), doppler_angle.shape)
    # Motion shifts the beat by f_D, a third of a range bin at most.
    assert abs(range_bin - distance / CLEAN.range_bin_m) < 0.9
    assert abs(angle - 32 - 32 * sine) <= 0.51
    assert abs(same_angle - 32 - 32 * sine) <= 0.51
    assert abs(doppler - 64 - speed / CLEAN.speed_bin_m_s) <= 0.51


@settings(max_examples=times(30))
@given(st.floats(3.0, 17.0), st.floats(8.0, 17.0), st.sampled_from([-1.0, 1.0]))
def test_the_peak_of_a_vehicle_lies_on_it(x, y, side):
    passage = placed((side * x, y, 10.0))
    (points,) = trace_radar(passage, POINT)
    (cube,) = radar_cubes(passage, POINT)
    range_angle, doppler_angle = radar_maps(cube)
    range_bin, angle = np.unravel_index(range_angle.argmax(), range_angle.shape)
    low, high = passage.low_FVD[0, 0], passage.high_FVD[0, 0]
    ways = np.array(list(product(*zip(low, high, strict=True)))) - passage.mast
    near = np.linalg.norm(np.clip(passage.mast, low, high) - passage.mast)
    far = np.linalg.norm(ways, axis=1).max()
    sines = ways[:, 0] / np.linalg.norm(ways, axis=1)
    assert near / POINT.range_bin_m - 1.0 < range_bin < far / POINT.range_bin_m + 1.0
    assert sines.min() - 1 / 32 < (angle - 32) / 32 < sines.max() + 1 / 32
    # It recedes if it is on the side that it drives to.
    doppler = np.unravel_index(doppler_angle.argmax(), doppler_angle.shape)[0]
    assert math.copysign(1.0, doppler - 64) == side
    assert points.sine_P[0] * side > 0.0


def test_peaks_in_noise_and_clutter_lie_near_the_target():
    near = frames = 0
    for index in range(6):
        passage = build_passage(placed(AWAY).street, index)
        alone = replace(
            passage,
            low_FVD=passage.low_FVD[::3, :1],
            high_FVD=passage.high_FVD[::3, :1],
            velocity_FV=passage.velocity_FV[::3, :1],
        )
        made = maps(alone, RADAR)
        for f, (x, y, z) in enumerate(alone.centres[:, 0] - alone.mast):
            distance = math.hypot(x, y, z)
            # Across the line of sight nothing moves; beyond 25 m the map ends.
            if distance > 22.0 or abs(x) < 3.0:
                continue
            range_bin, angle = np.unravel_index(made[f, 0].argmax(), (128, 64))
            close = abs(range_bin * RADAR.range_bin_m - distance) < 3.0
            # 4 antennas: half of the -3 dB width is 0.886 / 4.
            near += close and abs((angle - 32) / 32 - x / distance) < 0.886 / 4 + 0.1
            frames += 1
    assert frames > 20
    assert near / frames > 0.9


def test_nothing_moves_nothing_is_seen():
    parked = still(placed((3.0, 13.0), (-4.0, 9.5)))
    quiet = RadarConfig(noise=0.0)
    np.testing.assert_allclose(maps(parked, quiet).astype(float), 0.0, atol=0.02)
    assert maps(placed((3.0, 13.0)), quiet).max() > 7.0


def test_what_is_beyond_the_last_range_bin_is_filtered_out():
    assert np.abs(receive(one_point(distance=RADAR.range_bin_m * 256 + 0.1), CLEAN)).max() == 0.0
    (cube,) = radar_cubes(placed(AWAY), CLEAN)
    assert np.abs(cube).max() == 0.0


def test_amplitude_falls_with_the_square_of_the_distance():
    (points,) = trace_radar(placed((0.0, 9.5), (6.0, 20.5)), CLEAN)
    scaled = points.amplitude_P * points.distance_P**2
    # Reflectivities add up in power to the same for both vehicles, which are of one size.
    one, other = np.split(scaled, 2)
    assert np.sum(one**2) == pytest.approx(np.sum(other**2), rel=1e-9)
    expected = 5.2 * 2.3 / 8.0 * CLEAN.reference_m**4
    assert np.sum(one**2) == pytest.approx(expected, rel=1e-9)


def test_a_hidden_vehicle_is_weaker():
    truck = (0.0, 9.5, 10.0, (9.0, 2.5, 3.8))
    (clear,) = trace_radar(placed((0.0, 13.0), AWAY), CLEAN)
    (hidden,) = trace_radar(placed((0.0, 13.0), truck), CLEAN)
    target = slice(0, CLEAN.points)
    ratio = hidden.amplitude_P[target] / clear.amplitude_P[target]
    np.testing.assert_allclose(ratio, 10.0 ** (-CLEAN.shadow_db / 20.0))


def test_noise_has_the_power_it_states():
    (cube,) = radar_cubes(placed(AWAY), RadarConfig(noise=0.7, static_points=0))
    assert np.mean(np.abs(cube) ** 2) == pytest.approx(0.49, rel=0.02)
    assert abs(np.mean(cube**2)) < 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slope_hz_s": 0.0}, "slope_hz_s=0.0"),
        ({"points": 0}, "points=0"),
        ({"noise": -1.0}, "noise=-1.0"),
        ({"chirp_s": math.nan}, "chirp_s=nan"),
    ],
)
def test_an_impossible_radar_is_refused(changes, message):
    with pytest.raises(ConfigError, match=f"RadarConfig: .*{message}"):
        RadarConfig(**changes)
