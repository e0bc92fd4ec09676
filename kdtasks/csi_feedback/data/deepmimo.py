"""Channels from the paths of a DeepMIMO v4 scenario folder.

A folder has a matrix per quantity and link, ``power_t001_tx000_r000.mat``: rows are users, columns
paths, NaN where there is none; powers in dB, angles and phases in degrees, delays in seconds.
DeepMIMO's own package is not needed, and nothing of it is used.

Source: DeepMIMO, "Specs" and "Conventions" of version 4, https://deepmimo.net.

Shape suffixes in this file: N = users, P = paths, A = antennas, C = subcarriers.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.matlab import find_variable, read_array

QUANTITIES = ("power", "phase", "delay", "aod_az", "aod_el")
"""Matrices of a link that channels follow from."""

BLOCK_USERS = 1024
"""Users whose paths are added up at once."""

Float = NDArray[np.float32]


def read_scenario(
    folder: Path, *, link: str = "", antennas: int, subcarriers: int, bandwidth_hz: float
) -> tuple[NDArray[np.complex64], Float]:
    r"""Return the channels of all users of a link, and where they are.

    .. math:: h_{a,c} = \sum_p \sqrt{P_p} e^{j (\phi_p + \pi a \sin\theta_p \sin\varphi_p
              - 2 \pi f_c \tau_p)}

    with azimuth :math:`\varphi` and zenith angle :math:`\theta` of departure: a uniform linear
    array of half-wavelength spacing along y; frequencies are uniform over the bandwidth and begin
    at 0. A user without a path has a channel of zeros, which ``data_drop`` leaves out.

    Args:
        folder: The scenario's folder.
        link: As in the names of its files, ``t001_tx000_r000``; empty takes the only one.
        antennas: Antennas of the base station.
        subcarriers: Subcarriers.
        bandwidth_hz: Bandwidth [Hz].

    Returns:
        Channels, shape [N, A, C], and positions of the users [m], shape [N, 3].

    Raises:
        DataError: If the folder has no such link, or a matrix is missing, damaged, or of another
            shape than the powers.
    """
    link = _link(folder, link)
    power_NP, phase_NP, delay_NP, azimuth_NP, zenith_NP = _matrices(folder, link)
    position_N3 = _matrix(folder, link, "rx_pos")
    if len(position_N3) != len(power_NP):
        raise DataError(
            f"{folder}: {len(position_N3)} positions in rx_pos_{link}.mat, but "
            f"{len(power_NP)} users in power_{link}.mat"
        )
    amplitude_NP = np.where(np.isnan(power_NP), 0.0, 10.0 ** (np.nan_to_num(power_NP) / 20.0))
    gain_NP = amplitude_NP * np.exp(1j * np.radians(np.nan_to_num(phase_NP)))
    turn_NP = np.sin(np.radians(zenith_NP)) * np.sin(np.radians(azimuth_NP))
    frequency_C = bandwidth_hz / subcarriers * np.arange(subcarriers)
    channels_NAC = np.empty((len(power_NP), antennas, subcarriers), np.complex64)
    for start in range(0, len(power_NP), BLOCK_USERS):
        part = slice(start, start + BLOCK_USERS)
        turns_NPA = np.nan_to_num(turn_NP[part])[..., None] * np.arange(antennas)
        delays_NPC = np.nan_to_num(delay_NP[part])[..., None] * frequency_C
        channels_NAC[part] = np.einsum(
            "np,npa,npc->nac",
            gain_NP[part],
            np.exp(1j * np.pi * turns_NPA),
            np.exp(-2j * np.pi * delays_NPC),
            optimize=True,
        )
    return channels_NAC, position_N3


def _link(folder: Path, link: str) -> str:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give that of a DeepMIMO v4 scenario")
    names = (re.fullmatch(r"power_(t\d+_tx\d+_r\d+)\.mat", file.name) for file in folder.iterdir())
    links = sorted(name[1] for name in names if name)
    if link in links or (not link and len(links) == 1):
        return link or links[0]
    there = ", ".join(links)
    if not there:
        raise DataError(f"{folder}: no power_t..._tx..._r....mat, so no DeepMIMO v4 scenario")
    raise DataError(f"{folder}: link={link!r} is none of {there}; give one of these")


def _matrices(folder: Path, link: str) -> list[Float]:
    found = [_matrix(folder, link, quantity) for quantity in QUANTITIES]
    for quantity, matrix_NP in zip(QUANTITIES, found, strict=True):
        if matrix_NP.shape != found[0].shape:
            raise DataError(
                f"{folder}: {quantity}_{link}.mat has shape {matrix_NP.shape}, but "
                f"power_{link}.mat has {found[0].shape}"
            )
    return found


def _matrix(folder: Path, link: str, quantity: str) -> Float:
    file = folder / f"{quantity}_{link}.mat"
    return read_array(file, find_variable(file, None, num_axes=2), np.float32)
