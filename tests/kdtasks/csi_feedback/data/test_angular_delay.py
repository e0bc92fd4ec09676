import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data.angular_delay import (
    Observation,
    Scaling,
    channel,
    from_angular_delay,
    to_angular_delay,
    unit_power,
)
from kdtasks.csi_feedback.data.site import Paths, SiteConfig, draw_positions, trace

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)


def matrices(seed, shape):
    parts = np.random.default_rng(seed).normal(size=(2, *shape))
    return parts[0] + 1j * parts[1]


def some_paths(*paths):
    """One user with paths of (gain, delay [s], angle [rad])."""
    gain, delay, angle = (np.array(column)[None] for column in zip(*paths, strict=True))
    return Paths(gain_NP=gain.astype(complex), delay_NP=delay, angle_NP=angle)


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.floats(1e8, 1e11),
    st.floats(1e5, 4e8),
    SEEDS,
)
def test_it_is_the_sum_over_paths_written_out(num_antennas, num_subcarriers, carrier, band, seed):
    observation = Observation(
        carrier_hz=carrier,
        bandwidth_hz=band,
        num_antennas=num_antennas,
        num_subcarriers=num_subcarriers,
    )
    rng = np.random.default_rng(seed)
    gain = rng.uniform(0.1, 1.0, 4) * np.exp(2j * np.pi * rng.uniform(size=4))
    delay = rng.uniform(1e-7, 1e-6, 4)
    angle = rng.uniform(-np.pi / 2, np.pi / 2, 4)
    ours = channel(some_paths(*zip(gain, delay, angle, strict=True)), observation)
    assert ours.shape == (1, num_antennas, num_subcarriers)
    assert ours.dtype == np.complex64
    for a in range(num_antennas):
        for c in range(num_subcarriers):
            tone_hz = c * band / num_subcarriers
            expected = sum(
                gain[p]
                * np.exp(-1j * np.pi * a * np.sin(angle[p]))
                * np.exp(-2j * np.pi * tone_hz * (delay[p] - delay.min()))
                for p in range(4)
            )
            assert ours[0, a, c] == pytest.approx(expected, abs=1e-5)


@given(st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_a_planar_array_is_the_sum_over_paths_written_out(rows, columns, seed):
    rng = np.random.default_rng(seed)
    gain = rng.uniform(0.1, 1.0, (1, 3)) * np.exp(2j * np.pi * rng.uniform(size=(1, 3)))
    angle, elevation = rng.uniform(-1.5, 1.5, (2, 1, 3))
    paths = Paths(
        gain_NP=gain, delay_NP=np.full((1, 3), 1e-7), angle_NP=angle, elevation_NP=elevation
    )
    ours = channel(paths, Observation(num_antennas=rows * columns, num_subcarriers=2, rows=rows))
    for z in range(rows):
        for y in range(columns):
            turns = y * np.sin(angle) + z * np.sin(elevation)
            expected = (gain * np.exp(-1j * np.pi * turns)).sum()
            assert ours[0, z * columns + y] == pytest.approx(expected, abs=1e-5)


def test_a_planar_array_hears_nothing_of_heights_where_paths_have_none():
    flat = some_paths((1.0, 0.0, 0.4), (0.5, 1e-8, -0.2))
    planar = channel(flat, Observation(num_antennas=6, num_subcarriers=3, rows=2))
    linear = channel(flat, Observation(num_antennas=3, num_subcarriers=3))
    np.testing.assert_allclose(planar, np.tile(linear, (1, 2, 1)), atol=1e-6)
    with pytest.raises(ConfigError, match="rows=4"):
        Observation(num_antennas=6, rows=4)


@given(st.integers(1, 4), SHAPES, SEEDS)
def test_a_planar_array_has_beams_in_both_directions(rows, shape, seed):
    users, columns, tones = shape
    channels = matrices(seed, (users, rows * columns, tones))
    ours = to_angular_delay(channels, rows)
    both = np.fft.fft2(channels.reshape(users, rows, columns, tones), axes=(1, 2), norm="ortho")
    expected = np.fft.ifft(both, axis=-1, norm="ortho").reshape(channels.shape)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    np.testing.assert_allclose(from_angular_delay(ours, rows), channels, atol=1e-12)


@pytest.mark.parametrize("angle", [-1.2, 0.0, 0.3, np.pi / 2])
def test_a_single_path_gives_the_array_response(angle):
    observation = Observation(num_antennas=8, num_subcarriers=5)
    ours = channel(some_paths((2.0 - 1j, 3e-7, angle)), observation)[0]
    # Half a wavelength apart, seen under the angle: pi sin(angle) per element; no tone, for the
    # only path is also the first.
    response = np.exp(-1j * np.pi * np.arange(8) * np.sin(angle))
    expected = np.broadcast_to((2.0 - 1j) * response[:, None], (8, 5))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_site_with_nothing_but_line_of_sight_gives_the_array_response():
    config = SiteConfig(num_scatterers=1, scatter_gain=0.0, num_walls=0)
    positions = draw_positions(config, 6, np.random.default_rng(0))
    observation = Observation(num_antennas=4, num_subcarriers=3)
    ours = channel(trace(config, positions, carrier_hz=observation.carrier_hz), observation)
    sine = positions[:, 1] / np.hypot(*positions.T)
    response = np.exp(-1j * np.pi * sine[:, None] * np.arange(4))
    np.testing.assert_allclose(
        ours / ours[:, :1], np.broadcast_to(response[..., None], ours.shape), atol=1e-5
    )


@given(st.floats(0.0, 1e-5))
def test_delays_count_from_the_first_path(shift):
    paths = [(1.0, 2e-7, 0.1), (0.5, 4e-7, -0.4)]
    observation = Observation(num_antennas=4, num_subcarriers=8)
    later = [(gain, delay + shift, angle) for gain, delay, angle in paths]
    np.testing.assert_allclose(
        channel(some_paths(*later), observation),
        channel(some_paths(*paths), observation),
        atol=1e-5,
    )


def test_a_path_too_weak_to_be_received_does_not_set_the_timing():
    observation = Observation(num_antennas=1, num_subcarriers=32)
    strong, faint = (1.0, 5e-7, 0.0), (1e-3, 1e-7, 0.0)
    both = to_angular_delay(channel(some_paths(faint, strong), observation))[0, 0]
    assert np.argmax(np.abs(both)) == 0


@pytest.mark.parametrize("bin_", range(1, 32))
def test_a_later_path_lands_in_a_later_bin(bin_):
    observation = Observation(bandwidth_hz=70e6, num_antennas=1, num_subcarriers=32)
    delay = bin_ / 70e6
    ours = to_angular_delay(channel(some_paths((0.5, 0.0, 0.0), (1.0, delay, 0.0)), observation))
    power = np.abs(ours[0, 0]) ** 2
    assert np.argmax(power) == bin_
    # 0.25 and 1 for each of 32 subcarriers, and nothing elsewhere
    np.testing.assert_allclose(power[[0, bin_]], [8.0, 32.0], rtol=1e-4)
    assert np.delete(power, [0, bin_]).max() < 1e-6


@pytest.mark.parametrize("bin_", range(8))
def test_an_angle_lands_in_its_bin(bin_):
    # The DFT of exp(-j pi a sin) peaks where 2 pi k / A = -pi sin (mod 2 pi).
    sine = -2.0 * bin_ / 8 if bin_ <= 4 else 2.0 - 2.0 * bin_ / 8
    observation = Observation(num_antennas=8, num_subcarriers=4)
    ours = to_angular_delay(channel(some_paths((1.0, 0.0, np.arcsin(sine))), observation))
    assert np.argmax(np.abs(ours[0, :, 0])) == bin_


def test_a_user_without_any_path_is_refused():
    with pytest.raises(DataError, match="1 users receive no path"):
        channel(some_paths((0.0, 1e-7, 0.0)), Observation())


@pytest.mark.parametrize("name", ["carrier_hz", "bandwidth_hz", "num_antennas", "num_subcarriers"])
def test_an_impossible_observation_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name}=0"):
        Observation(**{name: 0})


@given(SEEDS, SHAPES)
def test_the_transform_has_an_exact_inverse(seed, shape):
    channels = matrices(seed, shape)
    np.testing.assert_allclose(from_angular_delay(to_angular_delay(channels)), channels, atol=1e-12)
    np.testing.assert_allclose(to_angular_delay(from_angular_delay(channels)), channels, atol=1e-12)


@given(SEEDS, SHAPES)
def test_it_keeps_power_and_angles_between_matrices(seed, shape):
    one, other = matrices(seed, shape), matrices(seed + 1, shape)
    here = np.vdot(one, other)
    assert np.vdot(to_angular_delay(one), to_angular_delay(other)) == pytest.approx(here)
    assert np.linalg.norm(to_angular_delay(one)) == pytest.approx(np.linalg.norm(one))


@given(SEEDS, SHAPES)
def test_it_is_two_matrix_products(seed, shape):
    # Cui et al., eq. (4): H = F_a H~ F_d with unitary F_a, F_d
    channels = matrices(seed, shape)

    def dft(size, sign):
        k = np.arange(size)
        return np.exp(sign * 2j * np.pi * np.outer(k, k) / size) / np.sqrt(size)

    expected = dft(shape[1], -1) @ channels @ dft(shape[2], +1)
    np.testing.assert_allclose(to_angular_delay(channels), expected, atol=1e-12)


@given(SEEDS, st.floats(1e-3, 1e3))
def test_pictures_go_back_to_unit_power_matrices_whatever_the_scale(seed, factor):
    given_ = factor * matrices(seed, (6, 3, 4))
    scaling = Scaling.fit(given_)
    picture = scaling.to_picture(given_)
    assert picture.shape == (6, 2, 3, 4)
    assert picture.dtype == np.float32
    back = scaling.from_picture(picture)
    np.testing.assert_allclose(back, unit_power(given_), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(back, axis=(1, 2)), 1.0, rtol=1e-5)


@given(SEEDS)
def test_training_pictures_fill_the_range_and_zero_is_one_half(seed):
    train = matrices(seed, (50, 4, 4))
    scaling = Scaling.fit(train)
    picture = scaling.to_picture(train)
    # All but 0.001 % of the entries, and at least one side reaches its edge.
    assert np.mean((picture < -1e-6) | (picture > 1 + 1e-6)) <= 1e-3
    assert np.abs(picture - 0.5).max() == pytest.approx(0.5, rel=0.01)
    sparse = np.zeros((1, 4, 4), complex)
    sparse[0, 1, 2] = 1.0
    assert (np.delete(scaling.to_picture(sparse)[0, 0].ravel(), 6) == 0.5).all()


def test_power_is_taken_sample_by_sample():
    unit = unit_power(matrices(0, (4, 3, 2)) * np.array([1e-6, 1.0, 1e3, 5.0])[:, None, None])
    np.testing.assert_allclose(np.linalg.norm(unit, axis=(1, 2)), 1.0)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_samples_without_power_or_not_finite_are_counted_and_named(value):
    bad = matrices(0, (4, 3, 2))
    bad[2:] = value
    with pytest.raises(DataError, match=r"2 channel samples .* the first at index 2"):
        unit_power(bad)
