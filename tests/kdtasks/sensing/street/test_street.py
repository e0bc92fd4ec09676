import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from street_examples import placed
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.sensing.beams.format import CONDITIONS, RAIN
from kdtasks.sensing.street.geometry import blocked
from kdtasks.sensing.street.traffic import (
    LEAST_SPEED,
    StreetConfig,
    build_passage,
    passage_generator,
    pole_places,
)

BUSY = StreetConfig(traffic=4.0)

STREETS = st.builds(
    StreetConfig,
    seed=st.integers(0, 2**40),
    traffic=st.floats(0.0, 6.0),
    max_traffic=st.integers(0, 6),
    acceleration_m_s2=st.floats(0.0, 5.0),
    frame_rate_hz=st.floats(2.0, 40.0),
    sector_deg=st.floats(20.0, 70.0),
)


def arrays(passage):
    names = ("low_FVD", "high_FVD", "velocity_FV", "albedo_V")
    return [getattr(passage, name) for name in names]


@settings(max_examples=times(30))
@given(STREETS, st.integers(0, 10**8))
def test_a_passage_follows_from_the_seed_and_its_number(street, index):
    one, same = build_passage(street, index), build_passage(replace(street), index)
    for ours, theirs in zip(arrays(one), arrays(same), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    elsewhere = replace(street, seed=street.seed + 1)
    for other in (build_passage(street, index + 1), build_passage(elsewhere, index)):
        assert not np.array_equal(one.low_FVD, other.low_FVD)


def test_random_streams_are_apart_and_do_not_depend_on_what_was_drawn_before():
    streams = {
        (index, purpose): passage_generator(BUSY, index, purpose).random(4).tobytes()
        for index in range(300)
        for purpose in ("traffic", "camera", "radar", "radio", "lidar", "gps")
    }
    assert len(set(streams.values())) == len(streams)
    assert passage_generator(BUSY, 7, "radar").random(4).tobytes() == streams[7, "radar"]


@settings(max_examples=times(60))
@given(STREETS, st.integers(0, 10**6))
def test_the_target_is_in_the_sector_in_every_frame_and_would_not_be_in_one_more(street, index):
    passage = build_passage(street, index)
    x_F, y_F, _ = passage.centres[:, 0].T
    bearing_F = np.degrees(np.arctan2(x_F, y_F))
    assert (np.abs(bearing_F) <= street.sector_deg + 1e-9).all()
    # One frame more at either end is at most one step of the fastest lane away from the edge.
    step_m = 2.0 * street.speed_m_s[1] / street.frame_rate_hz
    edge_m = street.sector_end_m(float(y_F[0]))
    assert edge_m - np.abs(x_F[[0, -1]]).min() < step_m


@settings(max_examples=times(60))
@given(STREETS, st.integers(0, 10**6))
def test_motion_is_that_of_a_constant_acceleration(street, index):
    passage = build_passage(street, index)
    x_FV = passage.centres[..., 0]
    if passage.num_frames < 3:
        return
    # Between two frames a body moves by the mean of its velocities times the time.
    mean_FV = 0.5 * (passage.velocity_FV[1:] + passage.velocity_FV[:-1])
    np.testing.assert_allclose(np.diff(x_FV, axis=0), mean_FV / street.frame_rate_hz, atol=1e-9)
    np.testing.assert_allclose(np.diff(x_FV, 3, axis=0), 0.0, atol=1e-9)
    speed_F = np.abs(passage.velocity_FV[:, 0])
    assert speed_F.min() >= LEAST_SPEED * street.speed_m_s[0] - 1e-9
    assert (np.ptp(passage.centres[..., 1:], axis=0) < 1e-9).all()


def test_directions_are_those_of_the_lanes():
    for index in range(40):
        passage = build_passage(BUSY, index)
        y_V = passage.centres[0, :, 1]
        lane_V = np.abs(y_V[:, None] - BUSY.lanes_m).argmin(axis=1)
        np.testing.assert_array_equal(
            np.sign(passage.velocity_FV[0]), np.array(BUSY.directions)[lane_V]
        )


def test_boxes_never_overlap():
    street = StreetConfig(traffic=6.0, max_traffic=6, acceleration_m_s2=3.0)
    pairs = 0
    for index in range(200):
        passage = build_passage(street, index)
        for v in range(passage.low_FVD.shape[1]):
            for w in range(v):
                apart_FD = (passage.low_FVD[:, v] >= passage.high_FVD[:, w]) | (
                    passage.low_FVD[:, w] >= passage.high_FVD[:, v]
                )
                assert apart_FD.any(axis=1).all()
                pairs += 1
    assert pairs > 500


def test_shares_of_conditions_and_kinds_are_those_wanted():
    street = StreetConfig(night_share=0.3, rain_share=0.1, size_sd=0.0, traffic=1.0)
    passages = [build_passage(street, index) for index in range(3000)]
    found = [sum(p.condition == number for p in passages) / 3000 for number in CONDITIONS.values()]
    np.testing.assert_allclose(found, [0.6, 0.3, 0.1], atol=0.035)
    others = np.concatenate([(p.high_FVD - p.low_FVD)[0, 1:, 0] for p in passages])
    assert len(others) / 3000 == pytest.approx(1.0, abs=0.06)
    assert np.isclose(others, 4.3).mean() == pytest.approx(0.5, abs=0.04)
    targets = np.array([(p.high_FVD - p.low_FVD)[0, 0] for p in passages])
    np.testing.assert_allclose(targets, np.broadcast_to((5.2, 2.0, 2.3), targets.shape))
    wet = replace(street, night_share=0.0, rain_share=1.0)
    assert {build_passage(wet, index).condition for index in range(20)} == {RAIN}


def test_weather_does_not_change_the_traffic():
    for index in range(30):
        dry = build_passage(StreetConfig(night_share=0.0, rain_share=0.0), index)
        wet = build_passage(StreetConfig(night_share=0.0, rain_share=1.0), index)
        for one, other in zip(arrays(dry), arrays(wet), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_antenna_is_above_the_targets_roof():
    passage = placed((3.0, 13.0), (0.0, 9.5))
    np.testing.assert_allclose(passage.antenna, [[3.0, 13.0, 2.4]])


def test_poles_belong_to_the_site_and_not_to_the_passages():
    np.testing.assert_array_equal(pole_places(BUSY), pole_places(replace(BUSY, seed=9)))
    assert not np.array_equal(pole_places(BUSY), pole_places(replace(BUSY, site_seed=9)))


COORDINATE = st.floats(-10.0, 10.0)
POINT = st.tuples(COORDINATE, COORDINATE, COORDINATE)


@settings(max_examples=times(80))
@given(POINT, POINT, POINT, st.tuples(*[st.floats(0.5, 6.0)] * 3))
def test_blocked_agrees_with_points_tried_along_the_way(start, end, low, size):
    start, end, low = np.array(start), np.array(end), np.array(low)
    high = low + size
    steps = start + np.linspace(0.0, 1.0, 1001)[:, None] * (end - start)
    depth = np.minimum(steps - low, high - steps).min(axis=1).max()
    found = bool(blocked(start, end, low[None], high[None]))
    # Ways that graze a box by less than the steps show are either.
    if abs(depth) > math.dist(start, end) / 1000 + 1e-6:
        assert found == (depth > 0.0)


def test_nothing_blocks_an_empty_street():
    none = np.empty((0, 3))
    assert not blocked(np.zeros(3), np.ones(3), none, none)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"frame_rate_hz": 0.0}, "frame_rate_hz=0.0"),
        ({"frame_rate_hz": math.nan}, "frame_rate_hz=nan"),
        ({"mast_m": -1.0}, "mast_m=-1.0"),
        ({"sector_deg": 90.0}, "sector_deg=90.0"),
        ({"lanes_m": ()}, "lanes_m"),
        ({"lanes_m": (3.0,), "directions": (1,)}, "lanes_m must be beyond"),
        ({"directions": (1, 1)}, "directions=.1, 1."),
        ({"directions": (1, 1, 0, 1)}, "directions"),
        ({"facade_m": 21.0}, "facade_m=21.0"),
        ({"pole_row_m": 27.0}, "pole_row_m=27.0"),
        ({"num_poles": -1}, "num_poles=-1"),
        ({"speed_m_s": (9.0, 5.0)}, "speed_m_s"),
        ({"speed_m_s": (0.0, 5.0)}, "speed_m_s"),
        ({"size_sd": 0.5}, "size_sd=0.5"),
        ({"target_mix": (("tram", 1.0),)}, "target_mix.*car, van"),
        ({"traffic_mix": ()}, "traffic_mix"),
        ({"traffic_mix": (("car", 0.0),)}, "traffic_mix"),
        ({"traffic": math.inf}, "traffic=inf"),
        ({"night_share": 1.2}, "night_share=1.2"),
        ({"night_share": 0.8, "rain_share": 0.4}, "rain_share=0.4"),
        ({"traffic_albedo": (0.5, 0.2)}, "traffic_albedo"),
    ],
)
def test_an_impossible_street_is_refused_by_field_and_value(changes, message):
    with pytest.raises(ConfigError, match=f"StreetConfig: .*{message}"):
        StreetConfig(**changes)
