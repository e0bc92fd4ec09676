import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import DataError
from kdtasks.sensing.beams.radar_maps import radar_maps, range_doppler, stacked_maps


def random_cube(seed, *shape):
    parts = np.random.default_rng(seed).normal(size=(*shape, 2))
    return parts @ [1.0, 1j]


def published_chain(cube):
    """The released pre-processing, step by step in double precision."""
    cube = np.fft.fft(cube.astype(np.complex128), axis=1)
    cube = cube - cube.mean(axis=2, keepdims=True)
    cube = np.fft.fft(cube, axis=2)
    cube = np.fft.fft(cube, 64, axis=0)
    cube = np.fft.fftshift(cube, axes=(0, 2))
    range_angle = np.abs(cube).mean(axis=2).T
    doppler_angle = np.abs(cube).mean(axis=1).T
    return np.log2(1.0 + range_angle[: len(range_angle) // 2]), np.log2(1.0 + doppler_angle)


def slow_magnitude(cube, angle, range_bin, doppler):
    """|X| in one cell, summed term by term; the mean over chirps is the zero Doppler bin."""
    antennas, samples, chirps = cube.shape
    if doppler == chirps // 2:
        return 0.0
    total = 0.0 + 0.0j
    for m in range(antennas):
        for n in range(samples):
            for c in range(chirps):
                turns = (
                    (angle - 32) * m / 64
                    + range_bin * n / samples
                    + (doppler - chirps // 2) * c / chirps
                )
                total += cube[m, n, c] * cmath.exp(-2j * math.pi * turns)
    return abs(total)


def test_maps_of_a_small_cube_are_those_of_loops():
    cube = random_cube(0, 2, 4, 4)
    magnitude = np.array(
        [[[slow_magnitude(cube, k, r, d) for d in range(4)] for r in range(4)] for k in range(64)]
    )
    range_angle, doppler_angle = radar_maps(cube)
    np.testing.assert_allclose(range_angle, np.log2(1.0 + magnitude.mean(2).T[:2]), atol=1e-5)
    np.testing.assert_allclose(doppler_angle, np.log2(1.0 + magnitude.mean(1).T), atol=1e-5)


@settings(max_examples=times(20))
@given(
    st.integers(0, 99),
    st.tuples(st.integers(1, 5), st.sampled_from([6, 16, 24]), st.sampled_from([2, 10, 16])),
)
def test_maps_are_those_of_the_published_steps(seed, shape):
    cube = random_cube(seed, *shape)
    for ours, published in zip(radar_maps(cube), published_chain(cube), strict=True):
        np.testing.assert_allclose(ours, published, atol=1e-5)


@pytest.mark.parametrize("chirps", [128, 250])
@pytest.mark.parametrize("wall", [0.0, 3e4])
def test_maps_of_full_cubes_are_those_of_the_published_steps(chirps, wall):
    """Also when something that stands still is 60 dB above everything else."""
    cube = (40.0 * random_cube(1, 4, 256, chirps) + wall).astype(np.complex64)
    range_angle, doppler_angle = radar_maps(cube)
    assert (range_angle.shape, doppler_angle.shape) == ((128, 64), (chirps, 64))
    for ours, published in zip((range_angle, doppler_angle), published_chain(cube), strict=True):
        np.testing.assert_allclose(ours, published, atol=1e-4)


@given(st.integers(1, 3), st.integers(-32, 31), st.integers(0, 15), st.integers(-8, 7))
def test_a_wave_lies_in_its_cell(amplitude, angle, range_bin, doppler):
    m, n, c = np.ogrid[:4, :32, :16]
    turns = angle * m / 64 + range_bin * n / 32 + doppler * c / 16
    cube = amplitude * np.exp(2j * np.pi * turns)
    range_angle, doppler_angle = radar_maps(cube)
    if doppler == 0:
        np.testing.assert_allclose(range_angle, 0.0, atol=2e-3)
        return
    total = amplitude * 4 * 32 * 16
    assert np.unravel_index(range_angle.argmax(), (16, 64)) == (range_bin, angle + 32)
    assert np.unravel_index(doppler_angle.argmax(), (16, 64)) == (doppler + 8, angle + 32)
    assert range_angle.max() == pytest.approx(math.log2(1.0 + total / 16), rel=1e-4)
    assert doppler_angle.max() == pytest.approx(math.log2(1.0 + total / 32), rel=1e-4)


@given(st.integers(0, 99))
def test_what_stands_still_vanishes(seed):
    still = random_cube(seed, 4, 32, 1).repeat(16, axis=2)
    for radar_map in radar_maps(1e3 * still):
        np.testing.assert_allclose(radar_map, 0.0, atol=0.05)
    moving = random_cube(seed + 1, 4, 32, 16)
    for one, other in zip(radar_maps(moving), radar_maps(moving + 5.0 * still), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_power_is_kept():
    # Parseval: over ranges and Doppler bins, without the mean.
    cube = random_cube(3, 4, 32, 16)
    rest = cube - cube.mean(axis=2, keepdims=True)
    total = np.sum(np.abs(range_doppler(cube)) ** 2)
    assert total == pytest.approx(32 * 16 * np.sum(np.abs(rest) ** 2), rel=1e-5)


def test_the_cube_is_left_as_it_was():
    cube = random_cube(4, 4, 32, 16).astype(np.complex64)
    copy = cube.copy()
    radar_maps(cube)
    np.testing.assert_array_equal(cube, copy)


@pytest.mark.parametrize("shape", [(4, 256), (65, 8, 8), (4, 0, 8)])
def test_other_arrays_are_refused(shape):
    with pytest.raises(DataError, match="radar cube of shape"):
        radar_maps(np.zeros(shape, complex))


def test_networks_take_published_cubes_only():
    assert stacked_maps(np.zeros((4, 256, 128), np.complex64)).shape == (2, 128, 64)
    with pytest.raises(DataError, match=r"\(4, 256, 250\): networks need"):
        stacked_maps(np.zeros((4, 256, 250), np.complex64))
