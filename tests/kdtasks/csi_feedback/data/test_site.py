import cmath
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import speed_of_light
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.data.site import SiteConfig, build_site, draw_positions, trace

CONFIG = SiteConfig(num_scatterers=7, num_walls=5)
CARRIER_HZ = 2.655e9

CONFIGS = st.builds(
    SiteConfig,
    seed=st.integers(0, 2**40),
    num_scatterers=st.integers(1, 12),
    num_walls=st.integers(0, 6),
    correlation_distance_m=st.floats(1.0, 40.0),
    line_of_sight=st.booleans(),
)


def users(config, count, seed=0):
    return draw_positions(config, count, np.random.default_rng(seed))


def geometry(config):
    site = build_site(config)
    return [getattr(site, name) for name in site.__slots__]


def crossing(from_xy, to_xy, wall):
    """Return where two segments meet, by Cramer's rule, or None."""
    (x1, y1), (x2, y2) = from_xy, to_xy
    (x3, y3), (x4, y4) = wall
    bottom = (x2 - x1) * (y4 - y3) - (y2 - y1) * (x4 - x3)
    if bottom == 0.0:
        return None
    along_ray = ((x3 - x1) * (y4 - y3) - (y3 - y1) * (x4 - x3)) / bottom
    along_wall = ((x3 - x1) * (y2 - y1) - (y3 - y1) * (x2 - x1)) / bottom
    if not (0.0 < along_ray < 1.0 and 0.0 < along_wall < 1.0):
        return None
    return x1 + along_ray * (x2 - x1), y1 + along_ray * (y2 - y1)


def mirrored_base_station(wall):
    """Reflect the origin at the wall's line: twice the foot of its perpendicular."""
    (x3, y3), (x4, y4) = wall
    share = -(x3 * (x4 - x3) + y3 * (y4 - y3)) / math.dist((x3, y3), (x4, y4)) ** 2
    return 2 * (x3 + share * (x4 - x3)), 2 * (y3 + share * (y4 - y3))


def paths_of_one_user(config, x, y):
    """A second implementation: (amplitude, length, angle) of each path, one user at a time."""
    site = build_site(config)
    direct = config.los_gain if config.line_of_sight else 0.0
    yield direct / math.hypot(x, y), math.hypot(x, y), math.atan2(y, x)
    for k, (sx, sy) in enumerate(site.scatterers_SD):
        length = math.hypot(sx, sy) + math.dist((x, y), (sx, sy))
        far = math.dist((x, y), site.centres_SD[k]) / site.radii_S[k]
        gain = 2.0 * math.exp(-(far**2)) * site.reflection_S[k] / length
        yield gain, length, math.atan2(sy, sx)
    for wall in site.walls_W2D:
        image = mirrored_base_station(wall)
        hit = crossing(image, (x, y), wall)
        if hit is None:
            yield 0.0, None, None
        else:
            length = math.dist(image, (x, y))
            yield config.wall_gain / length, length, math.atan2(hit[1], hit[0])


@settings(max_examples=times(30))
@given(CONFIGS)
def test_the_same_configuration_is_the_same_cell(config):
    for one, other in zip(geometry(config), geometry(replace(config)), strict=True):
        np.testing.assert_array_equal(one, other)
    moved = geometry(replace(config, seed=config.seed + 1))
    assert not np.array_equal(moved[0], geometry(config)[0])


def test_position_of_users_and_band_do_not_change_the_cell():
    first = trace(CONFIG, users(CONFIG, 3), carrier_hz=CARRIER_HZ)
    both = trace(CONFIG, users(CONFIG, 3), carrier_hz=28e9)
    np.testing.assert_array_equal(first.delay_NP, both.delay_NP)
    np.testing.assert_allclose(np.abs(first.gain_NP), np.abs(both.gain_NP), rtol=1e-12)


@settings(max_examples=times(40))
@given(CONFIGS, st.integers(0, 1000))
def test_paths_are_those_of_a_slow_scalar_implementation(config, seed):
    positions = users(config, 5, seed)
    paths = trace(config, positions, carrier_hz=CARRIER_HZ)
    for n, (x, y) in enumerate(positions):
        for p, (amplitude, length, angle) in enumerate(paths_of_one_user(config, x, y)):
            if length is None:
                assert paths.gain_NP[n, p] == 0.0
                continue
            phase = cmath.exp(-2j * math.pi * CARRIER_HZ * length / speed_of_light)
            assert paths.gain_NP[n, p] == pytest.approx(amplitude * phase, rel=1e-6, abs=1e-12)
            assert paths.delay_NP[n, p] == pytest.approx(length / speed_of_light)
            assert paths.angle_NP[n, p] == pytest.approx(angle)


def reflections(config, count=3000):
    """Return each seen reflection: user, wall, point on the wall, path length."""
    positions = users(config, count)
    paths = trace(config, positions, carrier_hz=CARRIER_HZ)
    for w, wall in enumerate(build_site(config).walls_W2D):
        p = 1 + config.num_scatterers + w
        for n in np.flatnonzero(paths.gain_NP[:, p]):
            towards = np.array([math.cos(paths.angle_NP[n, p]), math.sin(paths.angle_NP[n, p])])
            along = wall[1] - wall[0]
            # The departing ray t * towards meets the wall's line at wall[0] + s * along.
            t, s = np.linalg.solve(np.stack([towards, -along], axis=1), wall[0])
            yield positions[n], along, s, t * towards, paths.delay_NP[n, p] * speed_of_light


def test_walls_reflect_like_mirrors():
    seen = 0
    for user, along, share, point, length in reflections(CONFIG):
        tangent = along / np.linalg.norm(along)
        incoming, outgoing = point / np.linalg.norm(point), user - point
        outgoing = outgoing / np.linalg.norm(outgoing)
        # Angle in = angle out: along the wall the ray keeps its direction, across it turns back.
        assert incoming @ tangent == pytest.approx(outgoing @ tangent)
        normal = np.array([-tangent[1], tangent[0]])
        assert incoming @ normal == pytest.approx(-(outgoing @ normal))
        # The length through the mirror image is that of the two legs.
        assert length == pytest.approx(np.linalg.norm(point) + np.linalg.norm(user - point))
        assert 0.0 < share < 1.0
        seen += 1
    assert seen > 100


def test_a_wall_is_not_seen_beside_its_end():
    # Cut a wall in half: who saw the reflection in one half still does, the others do not.
    config = replace(CONFIG, num_walls=1, num_scatterers=1)
    shares = [share for *_, share, _, _ in reflections(config)]
    assert min(shares) < 0.1
    assert max(shares) > 0.9
    positions = users(config, 3000)
    seen = np.abs(trace(config, positions, carrier_hz=CARRIER_HZ).gain_NP[:, -1]) > 0.0
    assert 0 < seen.sum() == len(shares) < len(positions)


def test_a_wall_does_not_reflect_to_users_behind_it():
    config = replace(CONFIG, num_walls=1)
    wall = build_site(config).walls_W2D[0]
    behind = wall.mean(axis=0)[None] * 1.2
    assert trace(config, behind, carrier_hz=CARRIER_HZ).gain_NP[0, -1] == 0.0


def test_the_direct_path_is_first_and_falls_with_distance():
    config = replace(CONFIG, los_gain=3.0)
    positions = np.array([[20.0, 0.0], [0.0, 40.0], [30.0, -30.0]])
    paths = trace(config, positions, carrier_hz=CARRIER_HZ)
    np.testing.assert_allclose(np.abs(paths.gain_NP[:, 0]), 3.0 / np.hypot(*positions.T))
    np.testing.assert_allclose(paths.angle_NP[:, 0], [0.0, math.pi / 2, -math.pi / 4])
    # The direct way is the shortest of all (walls that are not hit have no length).
    carries = np.abs(paths.gain_NP) > 0.0
    assert (paths.delay_NP[:, :1] <= np.where(carries, paths.delay_NP, np.inf)).all()


def test_without_line_of_sight_only_the_direct_path_is_gone():
    positions = users(CONFIG, 20)
    clear = trace(CONFIG, positions, carrier_hz=CARRIER_HZ)
    blocked = trace(replace(CONFIG, line_of_sight=False), positions, carrier_hz=CARRIER_HZ)
    assert (blocked.gain_NP[:, 0] == 0.0).all()
    np.testing.assert_array_equal(blocked.gain_NP[:, 1:], clear.gain_NP[:, 1:])


@pytest.mark.parametrize("carrier_hz", [300e6, 2.655e9, 28e9, 140e9])
def test_phase_turns_once_per_wavelength(carrier_hz):
    wavelength = speed_of_light / carrier_hz
    positions = np.array([[50.0, 0.0], [50.0 + wavelength / 4, 0.0]])
    gains = trace(CONFIG, positions, carrier_hz=carrier_hz).gain_NP[:, 0]
    assert np.angle(gains[1] / gains[0]) == pytest.approx(-math.pi / 2, abs=1e-3)


def large_scale_correlation(correlation_distance_m, distances_m):
    """Correlation of path amplitudes, over users of a cell much larger than its regions."""
    config = SiteConfig(
        radius_m=1500.0,
        num_scatterers=100,
        num_walls=0,
        correlation_distance_m=correlation_distance_m,
    )
    rng = np.random.default_rng(0)
    here = draw_positions(config, 3000, rng)
    way = rng.uniform(0.0, 2.0 * np.pi, len(here))
    step = np.stack([np.cos(way), np.sin(way)], axis=-1)

    def amplitudes(positions):
        return np.abs(trace(config, positions, carrier_hz=CARRIER_HZ).gain_NP[:, 1:]).ravel()

    first = amplitudes(here)
    return [np.corrcoef(first, amplitudes(here + d * step))[0, 1] for d in distances_m]


@pytest.mark.slow
def test_large_scale_correlation_falls_on_the_scale_of_the_configuration():
    # Regions exp(-(d / rho)^2) have a rho of 1.7 to 5 scales and count by their area: half of the
    # correlation is lost at about 4 scales. Distances are in units of the scale.
    distances = np.arange(9.0)
    halves = []
    for scale in (12.0, 24.0):
        values = large_scale_correlation(scale, scale * distances)
        assert values[0] == pytest.approx(1.0)
        assert all(one > other for one, other in pairwise(values))
        halves.append(scale * np.interp(-0.5, -np.array(values), distances))
    assert 3.0 < halves[0] / 12.0 < 6.0
    assert halves[1] / halves[0] == pytest.approx(2.0, rel=0.15)


def test_power_profiles_of_neighbours_are_alike_and_of_strangers_are_not():
    config = SiteConfig(num_walls=4)
    rng = np.random.default_rng(0)
    here = draw_positions(replace(config, radius_m=40.0), 1500, rng)

    def profiles(positions):
        # in dB, floored 40 dB below the strongest path of the user
        power = np.abs(trace(config, positions, carrier_hz=CARRIER_HZ).gain_NP[:, 1:]) ** 2
        return 10.0 * np.log10(np.maximum(power / power.max(axis=1, keepdims=True), 1e-4))

    def likeness(distance_m):
        pairs = zip(profiles(here), profiles(here + np.array([distance_m, 0.0])), strict=True)
        return np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs])

    near, middle, far = (likeness(d) for d in (1.0, 10.0, 60.0))
    assert near > 0.99
    assert 1.0 - middle > 10.0 * (1.0 - near)
    assert middle > far + 0.2


@settings(max_examples=times(20))
@given(st.floats(1.0, 30.0), st.floats(31.0, 500.0), st.integers(0, 99))
def test_users_are_in_the_half_disc(low, high, seed):
    config = SiteConfig(min_distance_m=low, radius_m=high)
    positions = users(config, 200, seed)
    distance = np.hypot(*positions.T)
    assert positions.shape == (200, 2)
    assert (positions[:, 0] >= -1e-9).all()
    assert ((distance >= low - 1e-9) & (distance <= high + 1e-9)).all()


def test_users_are_uniform_by_area():
    distance = np.hypot(*users(CONFIG, 20_000).T)
    # Inside 55 m lies (55^2 - 10^2) / (100^2 - 10^2) of the area: 29.5 %, standard error 0.3 %.
    assert np.mean(distance < 55.0) == pytest.approx((55**2 - 10**2) / (100**2 - 10**2), abs=0.013)


def test_users_of_an_area_are_in_it_and_uniform():
    rng = np.random.default_rng(0)
    positions = draw_positions(CONFIG, 10_000, rng, area=(35.0, 20.0, 10.0))
    distance = np.hypot(*(positions - [35.0, 20.0]).T)
    assert distance.max() <= 10.0
    assert np.mean(distance < 5.0) == pytest.approx(0.25, abs=0.018)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_distance_m": 0.0}, "min_distance_m=0.0"),
        ({"min_distance_m": 100.0}, "min_distance_m=100.0"),
        ({"num_scatterers": 0}, "num_scatterers=0"),
        ({"num_walls": -1}, "num_walls=-1"),
        ({"correlation_distance_m": 0.0}, "correlation_distance_m=0.0"),
    ],
)
def test_an_impossible_cell_is_refused_with_its_value(changes, message):
    with pytest.raises(ConfigError, match=message):
        SiteConfig(**changes)
