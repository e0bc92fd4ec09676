"""Channels of users of a site, split by position, for tasks of two networks.

Sites are those of CSI feedback: synthetic ones by name, ray-traced cities and scenes, and folders
of DeepMIMO.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import param
from kdtasks.contract.task import OwnData
from kdtasks.csi_feedback.data import deepmimo
from kdtasks.csi_feedback.data.dataset import CsiData, load_matrices
from kdtasks.csi_feedback.data.named_sites import CSI_SITES
from kdtasks.csi_feedback.data.ray_traced import traced_site
from kdtasks.data.splits import SPLITS
from kdtasks.distillation.splits import Splits
from kdtasks.distillation.task import DistillationTask

DATA: dict[str, Any] = {
    "scenario": param(
        "site-umi-los",
        decides="data",
        help=f"the site: {', '.join(CSI_SITES)} (synthetic), rt:CITY (ray-traced), or "
        "deepmimo:FOLDER",
    ),
    "num_train": param(4000, low=100, decides="data", unit="users", help="training split"),
    "num_val": param(1000, low=50, decides="data", unit="users", help="validation split"),
    "num_test": param(1000, low=50, decides="data", unit="users", help="test split"),
    "num_antennas": param(16, low=4, decides="data", unit="antennas", help="base station"),
    "num_subcarriers": param(16, low=4, decides="data", unit="subcarriers", help="of the band"),
    "data_seed": param(0, low=0, decides="data", help="of positions, split and noise"),
    "guard_m": param(
        0.0,
        low=0,
        high=20,
        decides="data",
        unit="m",
        help="least distance of users of validation and test from those of training",
    ),
}
"""Parameters that decide which users are observed, and how."""

COUNTS = tuple(f"num_{name}" for name in SPLITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Users:
    """Users of one split.

    Attributes:
        channels: Angular-delay matrices, complex64, shape [N, A, C]; the entries of each have a
            mean power of one.
        positions: Relative to the base station [m], float32, shape [N, 2].
    """

    channels: NDArray[np.complex64]
    positions: NDArray[np.float32]


class SiteTask(DistillationTask):
    """A task on the channels of a site's users; derive from it, and write `pair`."""

    @abstractmethod
    def pair(self, p: Any, name: str, users: Users) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return inputs and targets of a split, a row per user."""

    def own_data(self, path: Path, params: Params) -> OwnData:
        """Return the parameters for a scenario folder of DeepMIMO v4.

        Raises:
            ConfigError: If it is none.
            DataError: If it has several links, or too few users.
        """
        if not deepmimo.links(path):
            raise ConfigError(
                f"{path}: no scenario folder of DeepMIMO v4 (power_t..._tx..._r....mat), the only "
                f"files of your own that task {self.name} reads"
            )
        wanted = {name: int(params.get(name, DATA[name].default)) for name in COUNTS}
        train, val, test = wanted.values()
        scenario, fitting = deepmimo.fitting_counts(path, (train, val, test))
        counts = dict(zip(COUNTS, fitting, strict=True))
        return OwnData(
            parameters={"scenario": scenario},
            idle=frozenset(),
            defaults={name: count for name, count in counts.items() if count < wanted[name]},
        )

    def complete(self, params: Params) -> dict[str, Value]:
        full = super().complete(params)
        _data_of(full)
        return full

    def input_shapes(self, p: Any) -> tuple[tuple[int, ...], ...]:
        return ((2, p.num_antennas, p.num_subcarriers),)

    def data_identity(self, p: Any) -> Mapping[str, Any]:
        data = _data_of(p)
        return {} if data.scenario in CSI_SITES else {"scenario": data.geometry}

    def data(self, p: Any) -> Splits:
        place = p.place
        found, facts = load_matrices(
            _data_of(p), cache_dir=place.cache_dir, progress=place.progress
        )
        pairs = {name: self.pair(p, name, _users(found[name])) for name in SPLITS}
        return Splits(**pairs, source=f"{p.scenario}, {facts['source']}", facts=facts)


def radius_m(scenario: str) -> float | None:
    """Return how far users are from the base station at most [m]; None if only data tell."""
    if scenario in CSI_SITES:
        return CSI_SITES[scenario].site.radius_m
    traced = traced_site(scenario)
    return None if traced is None else traced.radius_m


def _data_of(p: Mapping[str, Any]) -> CsiData:
    """Return which users are observed, and how.

    Raises:
        ConfigError: If the scenario is none, or its users have no places on a map.
    """
    data = CsiData(
        scenario=p["scenario"],
        num_antennas=p["num_antennas"],
        num_subcarriers=p["num_subcarriers"],
        counts=(p["num_train"], p["num_val"], p["num_test"]),
        seed=p["data_seed"],
        guard_m=p["guard_m"],
    )
    if not data.is_site:
        raise ConfigError(
            f"scenario={data.scenario!r}: its users have no places on a map; take one of "
            f"{', '.join(CSI_SITES)}, a ray-traced site such as rt:munich, or deepmimo:FOLDER"
        )
    return data


def _users(samples: Mapping[str, NDArray[Any]]) -> Users:
    channels = samples["matrices"]
    power = np.mean(np.abs(channels) ** 2, axis=(1, 2), keepdims=True)
    return Users(channels=channels / np.sqrt(power), positions=np.array(samples["positions"]))


def reference_costs(complex_products: int, stored: int) -> dict[str, float]:
    """Return the costs of a reference without a network.

    Args:
        complex_products: Complex multiplications per user, four real ones each.
        stored: Complex numbers that are stored, 8 bytes each.
    """
    macs = 4.0 * complex_products
    return {"params": 0.0, "macs": macs, "flops": 2.0 * macs, "model_bytes": 8.0 * stored}


def planes(channels_NAC: NDArray[Any]) -> NDArray[np.float32]:
    """Return real and imaginary parts as two planes, [N, 2, A, C]."""
    return np.stack([channels_NAC.real, channels_NAC.imag], 1).astype(np.float32)
