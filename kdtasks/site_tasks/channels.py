"""Channels of users of a named site, split by position, for tasks of two networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.settings import param
from kdtasks.csi_feedback.data.named_sites import CSI_SITES, observe, place_users
from kdtasks.data.splits import SPLITS, SplitPlan, split_by_position

DATA: dict[str, Any] = {
    "scenario": param(
        "site-umi-los", choices=tuple(CSI_SITES), decides="data", help="the site, synthetic"
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


def users_of(p: Any) -> dict[str, Users]:
    """Return the users of each split; no square of the site is in two splits.

    Args:
        p: Parameters, see `DATA`.
    """
    cell = CSI_SITES[p.scenario]
    plan = SplitPlan(
        cell_m=cell.split_cell_m,
        counts=(p.num_train, p.num_val, p.num_test),
        seed=p.data_seed,
        guard_m=p.guard_m,
    )
    positions = place_users(cell, plan.to_draw, seed=p.data_seed)
    observation = cell.observation(p.num_antennas, p.num_subcarriers)
    channels = observe(cell, observation, positions, progress=lambda _done: None)
    channels /= np.sqrt(np.mean(np.abs(channels) ** 2, axis=(1, 2), keepdims=True))
    chosen = split_by_position(positions, plan)
    return {
        name: Users(channels=channels[rows], positions=positions[rows].astype(np.float32))
        for name, rows in ((name, chosen[name]) for name in SPLITS)
    }


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
