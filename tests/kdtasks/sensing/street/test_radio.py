import cmath
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import speed_of_light
from street_examples import AWAY, STREET, placed
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.street.radio import (
    RadioConfig,
    RadioPaths,
    beam_powers,
    beam_sines,
    codebook,
    mean_powers,
    poles,
    trace_radio,
)
from kdtasks.sensing.street.traffic import StreetConfig, build_passage

RADIO = RadioConfig()
QUIET = replace(RADIO, ripple_db=0.0, jitter_db=0.0, noise_power=0.0)
DIRECT = replace(QUIET, facade_gain=0.0, pole_gain=0.0)

PLACES = st.tuples(st.floats(-20.0, 20.0), st.floats(8.0, 22.0))


def paths_of_one_frame(passage, radio):
    """A second implementation: (reflection, length, sine, bounce) of each path, by two legs."""
    street = passage.street
    x, y, z = passage.antenna[0]
    yield 1.0, math.dist((0, 0, street.mast_m), (x, y, z)), None
    # On a mirror, the heights above its foot divide the way: y0 : y1 = share : 1 - share.
    first, second = street.facade_m, street.facade_m - y
    share = first / (first + second)
    hit = (share * x, street.facade_m, street.mast_m + share * (z - street.mast_m))
    yield radio.facade_gain, None, hit
    for place, gain in zip(*poles(street, radio), strict=True):
        yield gain, None, tuple(place)


def power_of_one_beam(passage, radio, beam):
    """Sum over antennas and paths, one term at a time."""
    mast, antenna = (0.0, 0.0, passage.street.mast_m), tuple(passage.antenna[0])
    look = beam_sines(radio)[beam]
    total = 0.0 + 0.0j
    for gain, length, bounce in paths_of_one_frame(passage, radio):
        towards = bounce or antenna
        length = length or math.dist(mast, bounce) + math.dist(bounce, antenna)
        sine = towards[0] / math.dist(mast, towards)
        turns = math.fmod(length * radio.carrier_hz / speed_of_light, 1.0)
        carrier = cmath.exp(-2j * math.pi * turns)
        for n in range(radio.num_antennas):
            element = cmath.exp(1j * math.pi * n * (sine - look)) / math.sqrt(radio.num_antennas)
            total += gain * radio.reference_m / length * carrier * element
    return abs(total) ** 2


@settings(max_examples=times(15))
@given(PLACES, st.integers(1, 20), st.integers(0, 63))
def test_powers_are_a_sum_over_antennas_and_paths(place, num_antennas, beam):
    radio = replace(QUIET, num_antennas=num_antennas)
    passage = placed(place)
    found = mean_powers(trace_radio(passage, radio), radio)[0, beam]
    # One part in 10^12 of the length is 10^-8 turns of the carrier.
    expected = power_of_one_beam(passage, radio, beam)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.integers(1, 64), st.floats(1.0, 90.0))
def test_beams_have_unit_norm_and_point_where_they_claim(num_antennas, sector_deg):
    radio = replace(RADIO, num_antennas=num_antennas, sector_deg=sector_deg)
    weights_BA = codebook(radio)
    np.testing.assert_allclose(np.linalg.norm(weights_BA, axis=1), 1.0)
    gain_FP, sine_FP = np.ones((64, 1), complex), beam_sines(radio)[:, None]
    alone = RadioPaths(gain_FP=gain_FP, sine_FP=sine_FP, blocked_FP=np.zeros((64, 1), bool))
    # A wave from where a beam looks adds up over all antennas, and none receives more.
    power_FB = mean_powers(alone, radio)
    np.testing.assert_allclose(np.diag(power_FB), num_antennas)
    assert (power_FB <= num_antennas + 1e-9).all()


@given(st.floats(-1.0, 1.0), st.floats(5.0, 30.0), st.floats(1.1, 5.0))
def test_power_falls_with_the_square_of_the_distance(tangent, y, ratio):
    # With the antenna at the height of the mast the direction stays when the place is scaled; the
    # facade is behind all of them.
    street = StreetConfig(mast_m=2.4, facade_m=200.0)
    near, far = (placed((tangent * d, d), street=street) for d in (y, ratio * y))
    one, other = (mean_powers(trace_radio(passage, DIRECT), DIRECT) for passage in (near, far))
    np.testing.assert_allclose(one, ratio**2 * other, rtol=1e-6, atol=1e-12)


@given(st.floats(0.0, 40.0))
def test_a_vehicle_in_the_way_takes_its_loss_off_the_line_of_sight(loss_db):
    radio = replace(DIRECT, blockage_db=loss_db)
    truck = (0.0, 9.5, 10.0, (9.0, 2.5, 3.8))
    clear, hidden = placed((0.0, 17.0), AWAY), placed((0.0, 17.0), truck)
    np.testing.assert_allclose(
        mean_powers(trace_radio(hidden, radio), radio),
        mean_powers(trace_radio(clear, radio), radio) * 10.0 ** (-loss_db / 10.0),
        rtol=1e-9,
        atol=1e-15,
    )


def test_a_low_or_distant_vehicle_does_not_block():
    for other in ((0.0, 9.5, 10.0, (4.3, 1.8, 1.5)), (12.0, 9.5, 10.0, (9.0, 2.5, 3.8))):
        assert not trace_radio(placed((0.0, 17.0), other), RADIO).blocked_FP[0, 0]
    behind = (0.0, 20.5, 10.0, (9.0, 2.5, 3.8))
    assert not trace_radio(placed((0.0, 13.0), behind), RADIO).blocked_FP[0, 0]


def test_a_blocked_line_of_sight_leaves_the_ways_round():
    truck = (-3.5, 9.5, 10.0, (9.0, 2.5, 3.8))
    paths = trace_radio(placed((-6.0, 20.5), truck), RADIO)
    assert paths.blocked_FP[0, 0]
    assert not paths.blocked_FP[0].all()


@settings(max_examples=times(100))
@given(st.floats(-50.0, 50.0), st.floats(8.0, 22.0))
def test_in_line_of_sight_the_strongest_beam_points_at_the_antenna(bearing_deg, y):
    passage = placed((y * math.tan(math.radians(bearing_deg)), y))
    x, y, z = passage.antenna[0]
    sine = x / math.dist((x, y, z), (0.0, 0.0, STREET.mast_m))
    found = beam_sines(RADIO)[best_beams(beam_powers(passage, RADIO))[0]]
    # Half of the -3 dB width of 16 elements at half a wavelength: 0.886 / 16.
    assert abs(found - sine) < 0.886 / RADIO.num_antennas


def test_label_statistics_are_those_of_the_measured_recipe():
    street = StreetConfig(traffic=1.3)
    off, moves, hidden = [], [], []
    for index in range(300):
        passage = build_passage(street, index)
        way = passage.antenna - passage.mast
        sine_F = way[:, 0] / np.linalg.norm(way, axis=1)
        geometric_F = np.abs(beam_sines(RADIO) - sine_F[:, None]).argmin(axis=1)
        best_F = best_beams(beam_powers(passage, RADIO))
        off.append(np.abs(best_F - geometric_F))
        moves.append(np.abs(np.diff(best_F)))
        hidden.append(trace_radio(passage, RADIO).blocked_FP[:, 0])
    off = np.concatenate(off)
    assert np.mean(off == 0) == pytest.approx(0.63, abs=0.06)
    assert np.mean(off <= 1) > 0.95
    assert np.concatenate(moves).mean() == pytest.approx(1.63, abs=0.15)
    assert 0.005 < np.concatenate(hidden).mean() < 0.1


def test_every_beam_wins_somewhere():
    labels = [best_beams(beam_powers(build_passage(STREET, i), RADIO)) for i in range(150)]
    assert set(np.concatenate(labels).tolist()) == set(range(64))


def test_noise_and_jitter_have_their_mean():
    away = placed(AWAY)
    far = replace(away, low_FVD=away.low_FVD.repeat(400, 0), high_FVD=away.high_FVD.repeat(400, 0))
    radio = replace(DIRECT, reference_m=1e-6, noise_power=0.5)
    power_FB = beam_powers(far, radio)
    # Exponential: mean and standard deviation are one; 25,600 draws.
    assert power_FB.mean() == pytest.approx(0.5, rel=0.03)
    assert power_FB.std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"carrier_hz": 0.0}, "carrier_hz=0.0"),
        ({"num_antennas": 0}, "num_antennas=0"),
        ({"sector_deg": 91.0}, "sector_deg=91.0"),
        ({"jitter_db": -1.0}, "jitter_db=-1.0"),
        ({"blockage_db": math.nan}, "blockage_db=nan"),
    ],
)
def test_an_impossible_radio_is_refused(changes, message):
    with pytest.raises(ConfigError, match=f"RadioConfig: .*{message}"):
        RadioConfig(**changes)
