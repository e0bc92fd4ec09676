"""Statistical channels of 3GPP TR 38.901, drawn by Sionna and kept on disk.

Every sample is a drop of its own: one user at a random place, with large-scale parameters, clusters
and rays of its own. Two drops share nothing but the statistics of their scenario, so there is no
environment to be learnt from them; for that there is the geometric site twin.

Delays count from the first path, path loss and shadow fading are off, so that the mean power of an
entry is about 1. Positions and channels are reproducible from the settings alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Progress
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.sionna_session import sionna_seeded
from kdtasks.learning.random import numpy_generator, seed_for

Model = Literal["umi", "uma", "rma", "inh"]

BATCH_SIZE = 100
"""Drops made at once. Another size would give other data, so it is no setting."""

LAYOUT = 1
"""Counted up when equal settings begin to give other data."""

# Ranges of TR 38.901: 0.5 to 100 GHz, at most 2 GHz of bandwidth; the rest only refuses slips.
_REAL_RANGES = {
    "carrier_hz": (0.5e9, 100e9),
    "bandwidth_hz": (1.0, 2e9),
    "cell_radius_m": (0.1, 20e3),
    "min_distance_m": (0.0, 20e3),
    "bs_height_m": (0.1, 150.0),
    "ue_height_m": (0.1, 150.0),
    "sector_center_deg": (-180.0, 180.0),
    "sector_width_deg": (0.1, 360.0),
}
_WHOLE_RANGES = {
    "num_antennas": (1, 1024),
    "num_subcarriers": (1, 8192),
    "num_samples": (1, 10**8),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tr38901Config:
    """All that decides the channels.

    The base station stands at the origin with a uniform linear array of omnidirectional, vertically
    polarised antennas half a wavelength apart along the y axis; the x axis is its broadside, and
    antenna n receives azimuth phi at a phase of +pi n sin(phi). A user has one such antenna and
    stands still, uniformly distributed over a sector of an annulus.

    Attributes:
        model: Urban micro, urban macro, rural macro cell, or indoor open office.
        los: Whether every user is in line of sight; otherwise none is.
        carrier_hz: Carrier frequency [Hz], 0.5 to 100 GHz.
        bandwidth_hz: Bandwidth [Hz] over which the subcarriers are spread evenly; at most a tenth
            of the carrier and 2 GHz.
        num_antennas: Antennas of the base station.
        num_subcarriers: Subcarriers.
        cell_radius_m: Largest horizontal distance of a user [m].
        min_distance_m: Smallest horizontal distance of a user [m].
        sector_center_deg: Azimuth of the middle of the sector, from broadside [degree].
        sector_width_deg: Opening of the sector [degree].
        bs_height_m: Height of the base station [m].
        ue_height_m: Height of the users [m].
        num_samples: Number of drops. Fewer of them are the first of more.
        seed: Seed of positions and channels.

    Raises:
        ConfigError: If a setting is out of range or contradicts another one.
    """

    model: Model
    los: bool
    carrier_hz: float
    bandwidth_hz: float
    num_antennas: int
    num_subcarriers: int
    cell_radius_m: float
    min_distance_m: float
    sector_center_deg: float
    sector_width_deg: float
    bs_height_m: float
    ue_height_m: float
    num_samples: int
    seed: int

    def __post_init__(self) -> None:
        if self.model not in get_args(Model):
            raise ConfigError(f"model={self.model!r} must be one of {', '.join(get_args(Model))}")
        if not isinstance(self.los, bool):
            raise ConfigError(f"los={self.los!r} must be true or false")
        for name, limits in _REAL_RANGES.items():
            _check_range(name, getattr(self, name), float | int, limits)
        for name, limits in _WHOLE_RANGES.items():
            _check_range(name, getattr(self, name), int, limits)
        if self.bandwidth_hz > 0.1 * self.carrier_hz:
            raise ConfigError(
                f"bandwidth_hz={self.bandwidth_hz!r} must be at most a tenth of "
                f"carrier_hz={self.carrier_hz!r}"
            )
        if self.min_distance_m >= self.cell_radius_m:
            raise ConfigError(
                f"min_distance_m={self.min_distance_m!r} must be less than "
                f"cell_radius_m={self.cell_radius_m!r}"
            )

    @property
    def fingerprint(self) -> str:
        """Identity of the data: equal for equal settings, on every machine."""
        fixed = {"scenario": "tr38901", "layout": LAYOUT, "batch_size": BATCH_SIZE}
        return fingerprint({**fixed, **asdict(self)})


def _check_range(
    name: str, value: object, kind: type | UnionType, limits: tuple[float, float]
) -> None:
    low, high = limits
    # bool is an int to Python; NaN fails the comparison
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not (fits and low <= value <= high):  # type: ignore[operator]
        noun = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{name}={value!r} must be {noun} between {low:g} and {high:g}")


# Table I of Cui et al. Its sum of 150,000 samples is split 100,000 / 30,000 / 20,000 by the paper.
# The paper has a cell; half a disc is the same to a linear array, which cannot distinguish front
# from back.
_UMI_LOS = Tr38901Config(
    model="umi",
    los=True,
    carrier_hz=2.655e9,
    bandwidth_hz=70e6,
    num_antennas=32,
    num_subcarriers=32,
    cell_radius_m=100.0,
    min_distance_m=10.0,
    sector_center_deg=0.0,
    sector_width_deg=180.0,
    bs_height_m=10.0,
    ue_height_m=1.5,
    num_samples=150_000,
    seed=0,
)
# Of the indoor data the paper prints only "LOS", the bandwidths and the number of subcarriers. The
# carrier is the only one in Table I; heights and the 120 m x 50 m office are TR 38.901 Table 7.2-2.
_INDOOR = replace(
    _UMI_LOS, model="inh", cell_radius_m=50.0, min_distance_m=1.0, bs_height_m=3.0, ue_height_m=1.0
)

PRESETS: dict[str, Tr38901Config] = {
    "umi-los": _UMI_LOS,
    "umi-nlos": replace(_UMI_LOS, los=False),
    "indoor-40mhz": replace(_INDOOR, bandwidth_hz=40e6),
    "indoor-10mhz": replace(_INDOOR, bandwidth_hz=10e6),
}
"""The settings of Cui et al., "Lightweight Neural Network with Knowledge Distillation for CSI
Feedback", Tables I, IX and XI, without their correlation distance of 12 m: drops are independent.
The two indoor presets see the same users and paths through different bandwidths."""


def generate(
    config: Tr38901Config, *, progress: Progress
) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.float64]]]:
    """Draw channels, up to ``BATCH_SIZE`` of them at a time.

    Every batch has a seed of its own, and what Sionna changes globally (the seed of torch's default
    generator, the number of threads) is put back before the batch is handed out.

    Args:
        config: What to draw.
        progress: Called after each batch.

    Yields:
        Spatial-frequency channels, shape [batch, num_antennas, num_subcarriers], and horizontal
        positions of the users relative to the base station [m], shape [batch, 2].
    """
    model = None
    for start in range(0, config.num_samples, BATCH_SIZE):
        purpose = f"tr38901 batch {start // BATCH_SIZE}"
        positions = _positions(config, numpy_generator(config.seed, purpose))
        with sionna_seeded(seed_for(config.seed, purpose)):
            model = model or _build(config)
            channels = _drop(config, model, positions)
        count = min(BATCH_SIZE, config.num_samples - start)
        yield channels[:count], positions[:count]
        progress(start + count, config.num_samples, "samples")


def load(
    config: Tr38901Config, *, cache_dir: Path, progress: Progress
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Return channels from the cache, drawing them first if it does not hold them intact.

    Args:
        config: What to draw.
        cache_dir: Folder of the cache; made if missing. Several processes may share it.
        progress: Called while channels are drawn; never when the cache holds them.

    Returns:
        Spatial-frequency channels, shape [num_samples, num_antennas, num_subcarriers], and
        horizontal positions of the users relative to the base station [m], shape [num_samples, 2];
        both memory-mapped (``np.memmap``) and read-only.
    """
    cache = _cache(config, cache_dir)
    arrays = cache.read()
    if arrays is None:
        packages = ("sionna-no-rt", "torch", "numpy")
        facts = {
            "source": "3GPP TR 38.901 by Sionna",
            "fingerprint": config.fingerprint,
            "settings": {**asdict(config), "batch_size": BATCH_SIZE},
            "versions": {package: version(package) for package in packages},
        }
        arrays = cache.write(partial(_write, config, progress), facts)
    return arrays["channels"], arrays["positions"]


def read_card(config: Tr38901Config, *, cache_dir: Path) -> dict[str, Any]:
    """Return the facts kept beside cached channels: settings, versions, SHA-256 of the files.

    Raises:
        FileNotFoundError: If :func:`load` was not called before.
    """
    return _cache(config, cache_dir).card()


def _cache(config: Tr38901Config, cache_dir: Path) -> ArrayCache:
    return ArrayCache(
        cache_dir, f"tr38901-{config.fingerprint}", ("channels", "positions"), __name__
    )


def _write(config: Tr38901Config, progress: Progress, paths: Mapping[str, Path]) -> None:
    shape = (config.num_samples, config.num_antennas, config.num_subcarriers)
    channels = np.lib.format.open_memmap(
        paths["channels"], mode="w+", dtype=np.complex64, shape=shape
    )
    positions = np.empty((config.num_samples, 2))
    start = 0
    for channels_part, positions_part in generate(config, progress=progress):
        stop = start + len(channels_part)
        channels[start:stop], positions[start:stop] = channels_part, positions_part
        start = stop
    channels.flush()
    np.save(paths["positions"], positions, allow_pickle=False)


def _positions(config: Tr38901Config, rng: np.random.Generator) -> NDArray[np.float64]:
    # Uniform over the area: the square of the distance is uniform.
    low, high = config.min_distance_m**2, config.cell_radius_m**2
    distance = np.sqrt(rng.uniform(low, high, BATCH_SIZE))
    half = config.sector_width_deg / 2
    azimuth = np.deg2rad(config.sector_center_deg + rng.uniform(-half, half, BATCH_SIZE))
    return np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth)], axis=-1)


def _build(config: Tr38901Config) -> Any:
    from sionna.phy.channel.tr38901 import InH, PanelArray, RMa, UMa, UMi

    common = {"carrier_frequency": config.carrier_hz, "device": "cpu", "precision": "single"}

    def array(num_antennas: int) -> Any:
        return PanelArray(
            num_rows_per_panel=1,
            num_cols_per_panel=num_antennas,
            polarization="single",
            polarization_type="V",
            antenna_pattern="omni",
            **common,
        )

    classes = {"umi": UMi, "uma": UMa, "rma": RMa, "inh": InH}
    # Losses into buildings and cars belong to the path loss, which is off; UMi and UMa ask anyway.
    special = {"o2i_model": "low"} if config.model in ("umi", "uma") else {}
    return classes[config.model](
        ut_array=array(1),
        bs_array=array(config.num_antennas),
        direction="downlink",
        enable_pathloss=False,
        enable_shadow_fading=False,
        **special,
        **common,
    )


def _drop(
    config: Tr38901Config, model: Any, positions: NDArray[np.float64]
) -> NDArray[np.complex64]:
    from sionna.phy.channel import cir_to_ofdm_channel, subcarrier_frequencies

    # The model keeps these very tensors and later writes into them, so none is passed twice.
    users, station, *still = torch.zeros(5, BATCH_SIZE, 1, 3)
    users[:, 0, :2] = torch.from_numpy(positions)
    users[..., 2] = config.ue_height_m
    station[..., 2] = config.bs_height_m
    indoors = torch.full((BATCH_SIZE, 1), config.model == "inh")
    # Losses of cars, too, are path loss.
    special = {"in_car": torch.zeros_like(indoors)} if config.model == "rma" else {}
    model.set_topology(users, station, *still, indoors, los=config.los, **special)
    gains, delays_s = model(num_time_samples=1, sampling_frequency=1.0)
    frequencies_hz = subcarrier_frequencies(
        config.num_subcarriers,
        config.bandwidth_hz / config.num_subcarriers,
        precision="single",
        device="cpu",
    )
    # [batch, receiver, its antenna, transmitter, its antennas, time, subcarriers]
    response = cir_to_ofdm_channel(frequencies_hz, gains, delays_s)
    channels: NDArray[np.complex64] = response[:, 0, 0, 0, :, 0, :].numpy()
    return channels
