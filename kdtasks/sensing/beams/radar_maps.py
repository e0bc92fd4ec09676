r"""From FMCW radar cubes to range-angle and Doppler-angle maps, as published.

Nguyen et al., section IV, and the released pre-processing: FFT over the samples of a chirp; the
mean over chirps is taken off, which removes all that stands still; FFT over chirps; FFT over
antennas, zero-padded to 64; shift of zero Doppler and of broadside to the middle. With
:math:`X[k, r, d]` over angle, range and Doppler:

.. math:: RA[r, k] = \log_2(1 + \mathrm{mean}_d |X|), \quad
          DA[d, k] = \log_2(1 + \mathrm{mean}_r |X|)

RA keeps the nearer half of the range bins, DA is the mean over all of them. The sine of the angle
is :math:`(k - 32) / 32` for half-wavelength spacing.

Shape suffixes in this file: M = antennas, N = samples of a chirp, C = chirps, K = angles,
R = range bins.
"""

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError

NUM_ANTENNAS = 4
"""Receive antennas of the radars of the published data."""

NUM_SAMPLES = 256
"""Samples per chirp."""

NUM_CHIRPS = 128
"""Chirps per frame."""

NUM_ANGLES = 64
"""Angle bins after zero-padding."""

BLOCK = 8
"""Range bins looked at together: their magnitudes at all angles fit into the processor's cache."""


def range_doppler(cube_MNC: NDArray[Any]) -> NDArray[np.complex64]:
    """Return what moves, per antenna, range and Doppler bin, shape [M, N, C]; Doppler 0 at C/2."""
    range_MNC = scipy.fft.fft(cube_MNC.astype(np.complex64, copy=False), axis=1)
    range_MNC -= range_MNC.mean(axis=2, keepdims=True)
    doppler_MNC = scipy.fft.fft(range_MNC, axis=2, overwrite_x=True)
    # The sum over chirps without their mean: zero, but for rounding that strong walls make large.
    doppler_MNC[..., 0] = 0.0
    return np.asarray(scipy.fft.fftshift(doppler_MNC, axes=2), np.complex64)


def radar_maps(cube_MNC: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the range-angle and the Doppler-angle map of one cube.

    Args:
        cube_MNC: Complex samples: antennas, samples of a chirp, chirps; in the published data
            4 x 256 x 128, in scenarios 31 to 34 of DeepSense 6G 4 x 256 x 250.

    Returns:
        Range-angle map, shape [N // 2, 64], and Doppler-angle map, shape [C, 64].

    Raises:
        DataError: If the array is not such a cube.
    """
    if cube_MNC.ndim != 3 or cube_MNC.shape[0] > NUM_ANGLES or 0 in cube_MNC.shape:
        raise DataError(
            f"radar cube of shape {cube_MNC.shape}: needs antennas (at most {NUM_ANGLES}), "
            "samples of a chirp and chirps"
        )
    signal_MNC = range_doppler(cube_MNC)
    num_antennas, num_ranges, num_chirps = signal_MNC.shape
    # The FFT over so few antennas is a small matrix; with the magnitudes of a block of ranges in
    # the cache this is six times as fast as the padded FFT (measured), and equal to it.
    bin_K1 = np.arange(NUM_ANGLES)[:, None] - NUM_ANGLES // 2
    turns_KM = bin_K1 * np.arange(num_antennas) / NUM_ANGLES
    transform_KM = np.exp(-2j * np.pi * turns_KM).astype(np.complex64)
    over_doppler_RK = np.empty((num_ranges, NUM_ANGLES), np.float32)
    over_range_KC = np.zeros((NUM_ANGLES, num_chirps), np.float32)
    for start in range(0, num_ranges, BLOCK):
        part_MRC = signal_MNC[:, start : start + BLOCK]
        magnitude_KX = np.abs(transform_KM @ part_MRC.reshape(num_antennas, -1))
        magnitude_KRC = magnitude_KX.reshape(NUM_ANGLES, -1, num_chirps)
        over_doppler_RK[start : start + BLOCK] = magnitude_KRC.mean(axis=2).T
        over_range_KC += magnitude_KRC.sum(axis=1)
    kept_RK = over_doppler_RK[: num_ranges // 2]
    return np.log2(1.0 + kept_RK), np.log2(1.0 + over_range_KC.T / num_ranges)


def stacked_maps(cube_MNC: NDArray[Any]) -> NDArray[np.float16]:
    """Return both maps as the channels that networks see, shape [2, 128, 64].

    Raises:
        DataError: If the cube is not 4 x 256 x 128.
    """
    shape = (NUM_ANTENNAS, NUM_SAMPLES, NUM_CHIRPS)
    if cube_MNC.shape != shape:
        raise DataError(f"radar cube of shape {cube_MNC.shape}: networks need one of {shape}")
    return np.stack(radar_maps(cube_MNC)).astype(np.float16)
