r"""What the 64 beams of the street twin's base station receive at 60 GHz.

A uniform linear array along x of half-wavelength spacing points at the target's antenna with one
codeword after the other. Paths: line of sight, the mirror image in the facade, a bounce off every
pole. Each loses power where a vehicle is in its way.

Shape suffixes in this file: F = frames, P = paths, A = antennas, B = beams, V = vehicles,
D = x, y, z.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdtasks.data.constants import SPEED_OF_LIGHT_M_S
from kdtasks.learning.random import numpy_generator
from kdtasks.sensing.beams.format import NUM_BEAMS
from kdtasks.sensing.street.geometry import blocked, not_negative, positive, refuse
from kdtasks.sensing.street.traffic import Passage, StreetConfig, pole_places

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class RadioConfig:
    """How the base station listens.

    Attributes:
        carrier_hz: Carrier frequency [Hz].
        num_antennas: Elements of the array.
        sector_deg: Beams are uniform in the sine of their angle over plus and minus this [degrees].
        reference_m: Distance at which the line of sight has amplitude 1 per antenna [m].
        facade_gain: Amplitude that the facade reflects.
        pole_gain: Standard deviation of the complex amplitude that a pole reflects.
        pole_height_m: Height at which poles reflect [m].
        blockage_db: Loss of a path that crosses a vehicle [dB].
        ripple_db: Standard deviation of the fixed gains of the beams [dB].
        jitter_db: Standard deviation of the gain of each measurement [dB]: the noise of the labels.
        noise_power: Mean of the exponential noise power, where 1 is one antenna at ``reference_m``.
    """

    carrier_hz: float = 60e9
    num_antennas: int = 16
    sector_deg: float = 50.0
    reference_m: float = 12.0
    facade_gain: float = 0.22
    pole_gain: float = 0.1
    pole_height_m: float = 3.0
    blockage_db: float = 16.0
    ripple_db: float = 0.35
    jitter_db: float = 0.35
    noise_power: float = 1e-4

    def __post_init__(self) -> None:
        positive(self, "carrier_hz", "num_antennas", "sector_deg", "reference_m", "pole_height_m")
        not_negative(self, "facade_gain", "pole_gain", "blockage_db")
        not_negative(self, "ripple_db", "jitter_db", "noise_power")
        if self.sector_deg > 90.0:
            refuse(self, "sector_deg", "at most 90")


@dataclass(frozen=True, kw_only=True, slots=True)
class RadioPaths:
    """The ways from the target to the base station: line of sight, facade, poles.

    Attributes:
        gain_FP: Complex amplitude per antenna, blockage included.
        sine_FP: Sine of the angle of arrival: its direction cosine along x.
        blocked_FP: Whether a vehicle is in the way; where paths are traced, whether it is missing.
    """

    gain_FP: Complex
    sine_FP: Float
    blocked_FP: Bool


def beam_sines(radio: RadioConfig) -> Float:
    """Return the sine of the angle that each beam looks at, shape [B]; beam 0 looks to -x."""
    end = float(np.sin(np.radians(radio.sector_deg)))
    return np.linspace(-end, end, NUM_BEAMS)


def codebook(radio: RadioConfig) -> Complex:
    """Return the beams' weights, shape [B, A], each of unit norm."""
    phase_BA = np.pi * beam_sines(radio)[:, None] * np.arange(radio.num_antennas)
    return np.asarray(np.exp(1j * phase_BA) / np.sqrt(radio.num_antennas))


def poles(street: StreetConfig, radio: RadioConfig) -> tuple[Float, Complex]:
    """Return where poles reflect [m], shape [P, 3], and their complex amplitudes, shape [P]."""
    count = street.num_poles
    row_P, height_P = np.full(count, street.pole_row_m), np.full(count, radio.pole_height_m)
    part_P2 = numpy_generator(street.site_seed, "street reflections").normal(size=(count, 2))
    gain_P = radio.pole_gain * (part_P2 @ [1.0, 1j]) / np.sqrt(2.0)
    return np.stack([pole_places(street), row_P, height_P], axis=-1), gain_P


def trace_radio(passage: Passage, radio: RadioConfig) -> RadioPaths:
    """Find the paths of every frame; 2 + number of poles of them."""
    street, antenna_FD = passage.street, passage.antenna
    image_FD = antenna_FD * [1.0, -1.0, 1.0] + [0.0, 2.0 * street.facade_m, 0.0]
    mast_D = passage.mast
    # The way to the mirror image meets the facade after this share of its length.
    share_F1 = street.facade_m / image_FD[:, 1:2]
    mirror_FD = mast_D + share_F1 * (image_FD - mast_D)
    pole_PD, pole_P = poles(street, radio)
    bounce_FPD = np.concatenate(
        [
            antenna_FD[:, None],
            mirror_FD[:, None],
            np.broadcast_to(pole_PD, (len(antenna_FD), *pole_PD.shape)),
        ],
        axis=1,
    )
    first_FP = np.linalg.norm(bounce_FPD - mast_D, axis=-1)
    length_FP = first_FP + np.linalg.norm(bounce_FPD - antenna_FD[:, None], axis=-1)
    blocked_FP = _blocked(passage, bounce_FPD)
    reflection_P = np.concatenate([[1.0, radio.facade_gain], pole_P])
    loss_FP = np.where(blocked_FP, 10.0 ** (-radio.blockage_db / 20.0), 1.0)
    turns_FP = np.mod(length_FP * (radio.carrier_hz / SPEED_OF_LIGHT_M_S), 1.0)
    amplitude_FP = reflection_P * loss_FP * radio.reference_m / length_FP
    return RadioPaths(
        gain_FP=amplitude_FP * np.exp(-2j * np.pi * turns_FP),
        sine_FP=bounce_FPD[..., 0] / first_FP,
        blocked_FP=blocked_FP,
    )


def _blocked(passage: Passage, bounce_FPD: Float) -> Bool:
    """Return whether a vehicle other than the target is in the way, before or after the bounce."""
    low_F1VD, high_F1VD = passage.low_FVD[:, None, 1:], passage.high_FVD[:, None, 1:]
    if low_F1VD.shape[2] == 0:
        return np.zeros(bounce_FPD.shape[:2], bool)
    antenna_F1D = passage.antenna[:, None]
    before_FP = blocked(passage.mast, bounce_FPD, low_F1VD, high_F1VD)
    return before_FP | blocked(antenna_F1D, bounce_FPD, low_F1VD, high_F1VD)


def mean_powers(paths: RadioPaths, radio: RadioConfig) -> Float:
    r"""Return the power of every beam without ripple, jitter and noise, shape [F, B].

    .. math:: P_b = |w_b^H \sum_p g_p a(u_p)|^2, \quad a_n(u) = e^{j \pi n u}
    """
    phase_FPA = np.pi * paths.sine_FP[..., None] * np.arange(radio.num_antennas)
    channel_FA = (paths.gain_FP[..., None] * np.exp(1j * phase_FPA)).sum(axis=1)
    return np.asarray(np.abs(channel_FA @ codebook(radio).conj().T) ** 2)


def beam_powers(
    passage: Passage, radio: RadioConfig, paths: RadioPaths | None = None
) -> NDArray[np.float32]:
    """Measure the power of every beam in every frame, linear, shape [F, B].

    Args:
        passage: What happens.
        radio: How the base station listens.
        paths: The paths of the passage; None for those of `trace_radio`.
    """
    rng = passage.generator("radio")
    power_FB = mean_powers(paths or trace_radio(passage, radio), radio)
    fixed = numpy_generator(passage.street.site_seed, "street beams")
    ripple_B = radio.ripple_db * fixed.normal(size=NUM_BEAMS)
    jitter_FB = radio.jitter_db * rng.normal(size=power_FB.shape)
    noise_FB = radio.noise_power * rng.exponential(size=power_FB.shape)
    return (power_FB * 10.0 ** ((ripple_B + jitter_FB) / 10.0) + noise_FB).astype(np.float32)
