"""What an antenna array observes of paths, and the angular-delay picture that networks compress.

Shape suffixes in this file: N = users, P = paths, A = antennas, C = subcarriers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data.site import Paths

Complex = NDArray[Any]
"""A complex array of either precision."""

BLOCK_BYTES = 64 * 2**20
"""About how many bytes of a data set are worked on at once."""

SYNC_RANGE = 1e-2
"""Amplitude, relative to the strongest path, from which a path can set the user's timing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """How a channel is sampled.

    Attributes:
        carrier_hz: Carrier frequency [Hz].
        bandwidth_hz: Bandwidth [Hz]; subcarrier spacing is ``bandwidth_hz / num_subcarriers``.
        num_antennas: Elements of the array, of half-wavelength spacing: linear along y, or planar
            in y and z. Element ``row * num_antennas / rows + column`` is row (z) and column (y).
        num_subcarriers: Subcarriers.
        rows: Rows of the array, one above the other; 1 is linear.
    """

    carrier_hz: float = 2.655e9
    bandwidth_hz: float = 70e6
    num_antennas: int = 32
    num_subcarriers: int = 32
    rows: int = 1

    def __post_init__(self) -> None:
        if self.carrier_hz <= 0.0 or self.bandwidth_hz <= 0.0:
            raise ConfigError(
                f"carrier and bandwidth must be > 0, {self.carrier_hz=}, {self.bandwidth_hz=}"
            )
        if self.num_antennas < 1 or self.num_subcarriers < 1:
            raise ConfigError(
                "num_antennas and num_subcarriers must be >= 1, "
                f"got {self.num_antennas=}, {self.num_subcarriers=}"
            )
        if self.rows < 1 or self.num_antennas % self.rows:
            raise ConfigError(
                f"rows={self.rows} must divide the num_antennas={self.num_antennas} of the array"
            )


def channel(paths: Paths, observation: Observation) -> NDArray[np.complex64]:
    r"""Return the channel over antennas and subcarriers, shape [N, A, C].

    .. math:: H[a, c] = \sum_p g_p e^{-j \pi (y_a \sin\theta_p + z_a \sin\epsilon_p)}
              e^{-j 2\pi c \Delta f (\tau_p - \tau_0)}

    with the column y and the row z of an element, the angle and the elevation of a path.
    Delays count from each user's first path that is within 40 dB of the strongest, as after
    timing synchronisation.

    Raises:
        DataError: If a user receives no path at all.
    """
    strength_NP = np.abs(paths.gain_NP)
    strongest_N1 = strength_NP.max(axis=1, keepdims=True)
    if not (strongest_N1 > 0.0).all():
        lost = int((strongest_N1 == 0.0).sum())
        raise DataError(f"{lost} users receive no path; add scatterers or allow line of sight")
    carries_NP = strength_NP >= SYNC_RANGE * strongest_N1
    first_N1 = np.where(carries_NP, paths.delay_NP, np.inf).min(axis=1, keepdims=True)
    spacing_hz = observation.bandwidth_hz / observation.num_subcarriers
    tone_NP = np.exp(-2j * np.pi * spacing_hz * (paths.delay_NP - first_N1))
    tones_NPC = tone_NP[..., None] ** np.arange(observation.num_subcarriers)
    weighted_NAP = np.swapaxes(paths.gain_NP[..., None] * _steering(paths, observation), 1, 2)
    channel_NAC: NDArray[np.complex64] = (weighted_NAP @ tones_NPC).astype(np.complex64)
    return channel_NAC


def _steering(paths: Paths, observation: Observation) -> Complex:
    """Return the phases of the elements, shape [N, P, A]."""
    columns = observation.num_antennas // observation.rows
    step_NP = np.exp(-1j * np.pi * np.sin(paths.angle_NP))
    wide_NPY = step_NP[..., None] ** np.arange(columns)
    if observation.rows == 1:
        return wide_NPY
    sine_NP = np.zeros(()) if paths.elevation_NP is None else np.sin(paths.elevation_NP)
    rise_NP = np.broadcast_to(np.exp(-1j * np.pi * sine_NP), step_NP.shape)
    high_NPZ = rise_NP[..., None] ** np.arange(observation.rows)
    return (high_NPZ[..., None] * wide_NPY[..., None, :]).reshape(*step_NP.shape, -1)


def to_angular_delay(channel_NAC: Complex, rows: int = 1) -> Complex:
    """Transform to the angular-delay domain by unitary DFTs: Cui et al., eq. (4).

    The antenna axis takes the DFT, that of a planar array one along its rows and one along its
    columns, and the subcarrier axis the inverse, so that delays are positive bins. All are unitary,
    hence power is kept and `from_angular_delay` is exact.

    Args:
        channel_NAC: Channels over antennas and subcarriers.
        rows: Rows of the array, see `Observation`.
    """
    angular = _over_antennas(np.fft.fft, channel_NAC, rows)
    return np.fft.ifft(angular, axis=-1, norm="ortho")


def _over_antennas(transform: Callable[..., Any], matrix_NAC: Complex, rows: int) -> Complex:
    if rows == 1:
        return np.asarray(transform(matrix_NAC, axis=-2, norm="ortho"))
    *before, antennas, last = matrix_NAC.shape
    matrix_NZYC = matrix_NAC.reshape(*before, rows, antennas // rows, last)
    for axis in (-3, -2):
        matrix_NZYC = transform(matrix_NZYC, axis=axis, norm="ortho")
    return matrix_NZYC.reshape(matrix_NAC.shape)


def replace_by_angular_delay(channel_NAC: Complex) -> Complex:
    """Do the same in place, in little more memory than the channels take."""
    for rows in _blocks(channel_NAC):
        channel_NAC[rows] = to_angular_delay(channel_NAC[rows])
    return channel_NAC


def from_angular_delay(angular_delay_NAC: Complex, rows: int = 1) -> Complex:
    """Undo `to_angular_delay`."""
    tones = np.fft.fft(angular_delay_NAC, axis=-1, norm="ortho")
    return _over_antennas(np.fft.ifft, tones, rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Maps angular-delay matrices to pictures in [0, 1] with zero at 0.5, and back.

    Attributes:
        span: Real or imaginary part that reaches the edge of the picture, for unit-power matrices.
    """

    span: float

    @classmethod
    def fit(cls, angular_delay_NAC: Complex) -> "Scaling":
        """Fit on the training split: the 0.99999 quantile of the parts' magnitude.

        The rare entries beyond it lie a little outside [0, 1]; nothing is clipped.
        """
        parts = np.empty((2, *angular_delay_NAC.shape), angular_delay_NAC.real.dtype)
        for rows in _blocks(angular_delay_NAC):
            unit = unit_power(angular_delay_NAC[rows], first=rows.start)
            np.abs(unit.real, out=parts[0, rows])
            np.abs(unit.imag, out=parts[1, rows])
        return cls(span=float(np.quantile(parts, 0.99999, overwrite_input=True)))

    def to_picture(self, angular_delay_NAC: Complex) -> NDArray[np.float32]:
        """Return network inputs, shape [N, 2, A, C]: real part, imaginary part."""
        num, *shape = angular_delay_NAC.shape
        pictures = np.empty((num, 2, *shape), np.float32)
        for rows in _blocks(angular_delay_NAC):
            unit = unit_power(angular_delay_NAC[rows], first=rows.start)
            for part, values in enumerate((unit.real, unit.imag)):
                pictures[rows, part] = 0.5 + values / (2.0 * self.span)
        return pictures

    def from_picture(self, picture_N2AC: NDArray[np.floating]) -> NDArray[np.complex64]:
        """Return unit-power angular-delay matrices from pictures."""
        parts = (picture_N2AC - 0.5) * (2.0 * self.span)
        return (parts[:, 0] + 1j * parts[:, 1]).astype(np.complex64)


def _blocks(matrix_NAC: Complex) -> Iterator[slice]:
    """Yield ranges of samples that bound the memory of a large data set."""
    step = max(1, BLOCK_BYTES * len(matrix_NAC) // max(1, matrix_NAC.nbytes))
    for start in range(0, len(matrix_NAC), step):
        yield slice(start, start + step)


def unit_power(matrix_NAC: Complex, *, first: int = 0) -> Complex:
    """Divide each matrix by its Frobenius norm.

    Args:
        matrix_NAC: Matrices.
        first: Number of the first, for the error.

    Raises:
        DataError: If a sample has no power or is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # what these warn of is refused below
        norm_N11 = np.linalg.norm(matrix_NAC, axis=(1, 2), keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norm_N11) & (norm_N11 > 0.0)))
    if bad.size:
        raise DataError(
            f"{bad.size} channel samples are zero or not finite, the first at index "
            f"{first + bad[0]}; remove them from the data"
        )
    return np.asarray(matrix_NAC / norm_N11)


def divisors_near(number: int, wanted: int) -> list[int]:
    """Return the divisors of a number next to the wanted one: compressions that a picture has."""
    divisors = [n for n in range(2, number + 1) if number % n == 0]
    below = [n for n in divisors if n <= wanted][-1:]
    above = [n for n in divisors if n >= wanted][:1]
    return sorted({*below, *above})


def strongest_beam(picture_N2AC: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the angular bin with the most power over all delays, shape [N], in [0, A).

    It is the beam of a DFT codebook that would serve the user best, and so a label of the user's
    direction. The scaling of pictures does not matter; of equal bins the first is taken.

    Args:
        picture_N2AC: Pictures, zero at 0.5.
    """
    beams_N = np.empty(len(picture_N2AC), np.int64)
    for start in range(0, len(beams_N), 1000):  # bounds the memory of a large data set
        part = slice(start, start + 1000)
        power_NA = np.square(np.asarray(picture_N2AC[part], np.float64) - 0.5).sum(axis=(1, 3))
        beams_N[part] = power_NA.argmax(axis=1)
    return beams_N
