r"""What an FMCW radar at the street twin's base station receives.

Vehicles are points on those of their faces that the radar sees, with fixed random reflectivities;
poles and the facade stand still, and the processing takes them off. A point at distance
:math:`r`, receding at :math:`v` and seen at the sine :math:`u` adds to antenna :math:`m`, sample
:math:`n` and chirp :math:`c`

.. math:: a\, e^{j 4 \pi r / \lambda}\, e^{j \pi m u}\,
          e^{j 2 \pi (2 S r / c_0 + f_D) n / f_s}\, e^{j 2 \pi f_D c T}, \quad
          f_D = 2 v / \lambda, \quad a \propto r^{-2}

Within a frame of 8 ms a vehicle moves by half a range bin at most, which is left out: then every
point is an outer product.

Shape suffixes in this file: F = frames, V = vehicles, P = points, M = antennas, N = samples of a
chirp, C = chirps, D = x, y, z.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdtasks.data.constants import SPEED_OF_LIGHT_M_S
from kdtasks.learning.random import numpy_generator
from kdtasks.sensing.beams.radar_maps import NUM_ANTENNAS, NUM_CHIRPS, NUM_SAMPLES, stacked_maps
from kdtasks.sensing.street.geometry import blocked, not_negative, positive
from kdtasks.sensing.street.traffic import Passage

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class RadarConfig:
    """How the radar measures; defaults are those of the published data.

    Attributes:
        start_hz: Frequency at which a chirp starts [Hz].
        slope_hz_s: How fast it rises [Hz/s].
        sample_rate_hz: Complex samples per second [Hz].
        chirp_s: Time between chirps [s].
        points: Points per vehicle.
        reference_m: Distance at which all points of a vehicle of 8 m^2 side, added in power, have
            amplitude 1 [m].
        shadow_db: Two-way loss of a point that another vehicle hides [dB].
        static_points: Points that stand still.
        static_gain: Amplitude of one of them, in the unit of ``reference_m``.
        noise: Standard deviation of the complex noise per sample, in the same unit.
    """

    start_hz: float = 77e9
    slope_hz_s: float = 15.015e12
    sample_rate_hz: float = 5e6
    chirp_s: float = 65e-6
    points: int = 12
    reference_m: float = 12.0
    shadow_db: float = 20.0
    static_points: int = 8
    static_gain: float = 1.0
    noise: float = 0.5

    def __post_init__(self) -> None:
        positive(self, "start_hz", "slope_hz_s", "sample_rate_hz", "chirp_s", "points")
        positive(self, "reference_m")
        not_negative(self, "shadow_db", "static_points", "static_gain", "noise")

    @property
    def wavelength_m(self) -> float:
        """Wavelength [m]."""
        return float(SPEED_OF_LIGHT_M_S / self.start_hz)

    @property
    def range_bin_m(self) -> float:
        """Width of a range bin [m]."""
        return float(
            SPEED_OF_LIGHT_M_S * self.sample_rate_hz / (2.0 * self.slope_hz_s * NUM_SAMPLES)
        )

    @property
    def speed_bin_m_s(self) -> float:
        """Width of a Doppler bin [m/s]."""
        return self.wavelength_m / (2.0 * NUM_CHIRPS * self.chirp_s)


class Points(NamedTuple):
    """Reflecting points of one frame.

    Attributes:
        amplitude_P: Amplitude at the receiver.
        distance_P: Distance from the radar [m].
        speed_P: Rate of change of the distance [m/s].
        sine_P: Direction cosine along x.
    """

    amplitude_P: Float
    distance_P: Float
    speed_P: Float
    sine_P: Float


def receive(points: Points, radar: RadarConfig) -> NDArray[np.complex64]:
    """Return the cube of reflecting points without noise, shape [M, N, C].

    The receiver's filter keeps out what is beyond the last range bin.
    """
    near_P = points.distance_P < radar.range_bin_m * NUM_SAMPLES
    amplitude_P, distance_P, speed_P, sine_P = (array[near_P] for array in points)
    doppler_P = 2.0 * speed_P / radar.wavelength_m
    beat_P = 2.0 * radar.slope_hz_s * distance_P / SPEED_OF_LIGHT_M_S + doppler_P
    turns_P = np.mod(2.0 * distance_P / radar.wavelength_m, 1.0)
    first_P = amplitude_P * np.exp(2j * np.pi * turns_P)
    antenna_MP = np.exp(1j * np.pi * np.outer(np.arange(NUM_ANTENNAS), sine_P))
    sample_NP = _tones(beat_P / radar.sample_rate_hz, NUM_SAMPLES)
    chirp_PC = _tones(doppler_P * radar.chirp_s, NUM_CHIRPS).T
    weighted_MNP = (antenna_MP * first_P).astype(np.complex64)[:, None] * sample_NP
    return np.asarray(weighted_MNP @ chirp_PC)


def _tones(turns_P: Float, count: int) -> NDArray[np.complex64]:
    """Return oscillations of the given turns per step, shape [count, P]."""
    phase_P = 2.0 * np.pi * np.outer(np.arange(count), turns_P)
    return np.asarray(np.exp(1j * phase_P), np.complex64)


def trace_radar(passage: Passage, radar: RadarConfig) -> list[Points]:
    """Return the points of every frame: those of the vehicles, then those that stand still."""
    num_frames, num_vehicles = passage.low_FVD.shape[:2]
    moving_FPD, moving_FP = _moving(passage, radar)
    still_PD, still_P = _static(passage, radar)
    still_FPD = np.broadcast_to(still_PD, (num_frames, *still_PD.shape))
    still_FP = np.broadcast_to(still_P, (num_frames, *still_P.shape))
    way_FPD = np.concatenate([moving_FPD, still_FPD], axis=1) - passage.mast
    distance_FP = np.linalg.norm(way_FPD, axis=-1)
    strength_FP = np.concatenate([moving_FP, still_FP], axis=1)
    amplitude_FP = strength_FP * (radar.reference_m / distance_FP) ** 2
    sine_FP = way_FPD[..., 0] / distance_FP
    velocity_FP = np.zeros_like(sine_FP)
    velocity_FP[:, : num_vehicles * radar.points] = passage.velocity_FV.repeat(radar.points, axis=1)
    return [
        Points(amplitude_FP[f], distance_FP[f], velocity_FP[f] * sine_FP[f], sine_FP[f])
        for f in range(num_frames)
    ]


def _moving(passage: Passage, radar: RadarConfig) -> tuple[Float, Float]:
    """Return the points of all vehicles [m], [F, V * P, 3], and amplitudes, [F, V * P]."""
    num_frames = passage.num_frames
    place_VPD, weight_VP = _faces(passage, radar)
    size_FVD = passage.high_FVD - passage.low_FVD
    moving_FVPD = passage.low_FVD[:, :, None] + place_VPD * size_FVD[:, :, None]
    side_FV1 = np.sqrt(size_FVD[..., 0] * size_FVD[..., 2] / 8.0)[..., None]
    amplitude_FVP = weight_VP * side_FV1 * _shadow(passage, moving_FVPD, radar)
    return moving_FVPD.reshape(num_frames, -1, 3), amplitude_FVP.reshape(num_frames, -1)


def _faces(passage: Passage, radar: RadarConfig) -> tuple[Float, Float]:
    """Return points on the boxes as shares of their sizes, [V, P, 3], and their amplitudes.

    Most are on the side towards the base station, some on either end.
    """
    rng = passage.generator("radar faces")
    shape = (passage.low_FVD.shape[1], radar.points)
    place_VPD = rng.random((*shape, 3)) * [1.0, 0.0, 0.8] + [0.0, 0.0, 0.1]
    face_VP = rng.random(shape)
    place_VPD[..., 1] = np.where(face_VP < 0.4, 0.5 * rng.random(shape), 0.0)
    place_VPD[..., 0] = np.where(face_VP < 0.4, np.round(place_VPD[..., 0]), place_VPD[..., 0])
    weight_VP = rng.rayleigh(np.sqrt(0.5), shape)
    norm_V1 = np.sqrt((weight_VP**2).sum(axis=1, keepdims=True))
    return place_VPD, weight_VP / norm_V1


def _shadow(passage: Passage, place_FVPD: Float, radar: RadarConfig) -> Float:
    """Return the share of amplitude that passes other vehicles, shape [F, V, P]."""
    shape = place_FVPD.shape[:3]
    hidden = np.zeros(shape, bool)
    for v in range(shape[1]):
        low, high = (
            np.delete(array, v, axis=1)[:, None] for array in (passage.low_FVD, passage.high_FVD)
        )
        if low.shape[2]:
            hidden[:, v] = blocked(passage.mast, place_FVPD[:, v], low, high)
    return np.where(hidden, 10.0 ** (-radar.shadow_db / 20.0), 1.0)


def _static(passage: Passage, radar: RadarConfig) -> tuple[Float, Float]:
    """Return what stands still: points along the facade [m], [P, 3], and their amplitudes."""
    street = passage.street
    rng = numpy_generator(street.site_seed, "street radar clutter")
    place_PD = np.stack(
        [
            rng.uniform(-1.2, 1.2, radar.static_points) * street.reach_m,
            rng.uniform(street.pole_row_m, street.facade_m, radar.static_points),
            rng.uniform(0.5, 6.0, radar.static_points),
        ],
        axis=-1,
    )
    return place_PD, np.full(radar.static_points, radar.static_gain)


def radar_cubes(passage: Passage, radar: RadarConfig) -> Iterator[NDArray[np.complex64]]:
    """Measure one cube after the other, shape [M, N, C] each, 1 MB."""
    rng = passage.generator("radar")
    shape = (NUM_ANTENNAS, NUM_SAMPLES, NUM_CHIRPS)
    part = np.float32(radar.noise / np.sqrt(2.0))
    for points in trace_radar(passage, radar):
        cube_MNC = receive(points, radar)
        noise = rng.standard_normal((*shape, 2), dtype=np.float32)
        noise *= part
        cube_MNC += noise.view(np.complex64)[..., 0]
        yield cube_MNC


def maps(passage: Passage, radar: RadarConfig) -> NDArray[np.float16]:
    """Measure range-angle and Doppler-angle maps in every frame, shape [F, 2, 128, 64]."""
    return np.stack([stacked_maps(cube) for cube in radar_cubes(passage, radar)])
