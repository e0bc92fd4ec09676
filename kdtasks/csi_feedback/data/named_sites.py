"""The named cells in which CSI is collected, as the tables of Cui et al. need them.

Table I gives the carrier, the bandwidth, the heights and the range of UMi; the geometry is ours.
All are synthetic sites.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kdtasks.csi_feedback.data.angular_delay import Observation, channel, to_angular_delay
from kdtasks.csi_feedback.data.site import SiteConfig, draw_positions, trace
from kdtasks.learning.random import numpy_generator

CHUNK = 500
"""Users at a time; keeps the memory of large arrays near 1 GB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CsiSite:
    """A cell, the band it is observed in and where its users are.

    Attributes:
        site: Geometry.
        bandwidth_hz: Bandwidth of 32 subcarriers [Hz]; other counts keep the spacing.
        carrier_hz: Carrier frequency [Hz].
        area: Centre x, y and radius [m] of the users' disc; the whole cell if None.
        split_cell_m: Side of the squares that the split deals out [m].
    """

    site: SiteConfig
    bandwidth_hz: float = 70e6
    carrier_hz: float = 2.655e9
    area: tuple[float, float, float] | None = None
    split_cell_m: float = 10.0

    def aged(self, age: float) -> "CsiSite":
        """Return this cell as it was, see `SiteConfig.age`."""
        return replace(self, site=replace(self.site, age=age))

    def observation(self, num_antennas: int, num_subcarriers: int) -> Observation:
        """Return how this cell is sampled with the given array and subcarriers."""
        return Observation(
            carrier_hz=self.carrier_hz,
            bandwidth_hz=self.bandwidth_hz * num_subcarriers / 32,
            num_antennas=num_antennas,
            num_subcarriers=num_subcarriers,
        )


_UMI = SiteConfig(
    num_scatterers=12, num_walls=8, wall_gain=0.7, scatter_gain=1.0, correlation_distance_m=12.0
)
_INDOOR = replace(_UMI, radius_m=25.0, min_distance_m=1.0, correlation_distance_m=4.0, seed=2)
_NLOS = replace(_UMI, line_of_sight=False)

CSI_SITES: dict[str, CsiSite] = {
    "site-umi-los": CsiSite(site=_UMI),
    "site-umi-nlos": CsiSite(site=_NLOS),
    "site-umi-nlos-area-1": CsiSite(site=_NLOS, area=(35.0, 20.0, 10.0), split_cell_m=2.0),
    "site-umi-nlos-area-2": CsiSite(site=_NLOS, area=(45.0, -35.0, 10.0), split_cell_m=2.0),
    "site-indoor-40mhz": CsiSite(site=_INDOOR, bandwidth_hz=40e6, split_cell_m=2.5),
    "site-indoor-10mhz": CsiSite(site=_INDOOR, bandwidth_hz=10e6, split_cell_m=2.5),
}
"""Cells by scenario name. The two areas and the two indoor bandwidths each share one geometry."""


def place_users(cell: CsiSite, count: int, *, seed: int) -> NDArray[np.float64]:
    """Return positions of users [m], shape [N, 2]; the age of the cell has no part in them."""
    return draw_positions(cell.site, count, numpy_generator(seed, "users"), area=cell.area)


def observe(
    cell: CsiSite,
    observation: Observation,
    positions_ND: NDArray[np.float64],
    *,
    progress: Callable[[int], None],
) -> NDArray[np.complex64]:
    """Observe the channels of users at the given positions [m], shape [N, 2].

    Returns:
        Angular-delay matrices, shape [N, antennas, subcarriers].
    """
    count = len(positions_ND)
    shape = (count, observation.num_antennas, observation.num_subcarriers)
    matrices = np.empty(shape, np.complex64)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        paths = trace(cell.site, positions_ND[part], carrier_hz=observation.carrier_hz)
        matrices[part] = to_angular_delay(channel(paths, observation))
        progress(min(start + CHUNK, count))
    return matrices
