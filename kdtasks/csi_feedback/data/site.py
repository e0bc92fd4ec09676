"""The geometric site twin: one seeded cell of scatterers and walls, and the paths through it.

It is a synthetic site, not a measured one. Geometry ends here: `trace` gives paths (gain, delay,
angle), and what a sensor observes of them is computed elsewhere (`csi` for an antenna array).

Shape suffixes in this file: N = users, P = paths, S = scatterers, W = walls, D = 2 coordinates.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError
from kdtasks.data.constants import SPEED_OF_LIGHT_M_S
from kdtasks.learning.random import numpy_generator

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteConfig:
    """The geometry of a cell; two equal configurations are the same cell.

    The base station stands at the origin and faces +x. Users and scatterers are in the
    half plane x > 0.

    Attributes:
        seed: Seed of the geometry.
        radius_m: Users are at most this far from the base station [m].
        min_distance_m: Users are at least this far from the base station [m].
        num_scatterers: Fixed single-bounce scatterers.
        num_walls: Straight walls; each mirrors the base station towards the users that see the
            reflection.
        correlation_distance_m: Scale on which large-scale parameters change [m]. Radii of the
            visibility regions are 1.7 to 5 times this distance, so 12 m (Table I of Cui et al.)
            gives 20 to 60 m.
        line_of_sight: False blocks the direct path everywhere.
        los_gain: Amplitude of the direct path relative to free space.
        wall_gain: Reflection coefficient of walls.
        scatter_gain: Standard deviation of the complex reflection coefficient of a scatterer.
        age: How far back the cell is seen, in [0, 1]: that share of the scatterers, with their
            visibility regions and reflections, and of the walls, each rounded to a whole number,
            were others then. What differs at some age differs in the same way at every greater
            one. 0 is the present; users' positions do not depend on it.
    """

    seed: int = 1
    radius_m: float = 100.0
    min_distance_m: float = 10.0
    num_scatterers: int = 40
    num_walls: int = 4
    correlation_distance_m: float = 12.0
    line_of_sight: bool = True
    los_gain: float = 1.0
    wall_gain: float = 0.5
    scatter_gain: float = 2.0
    age: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.min_distance_m < self.radius_m:
            raise ConfigError(
                "site needs 0 < min_distance_m < radius_m, "
                f"got {self.min_distance_m=}, {self.radius_m=}"
            )
        if self.num_scatterers < 1 or self.num_walls < 0:
            raise ConfigError(
                "site needs num_scatterers >= 1 and num_walls >= 0, "
                f"got {self.num_scatterers=}, {self.num_walls=}"
            )
        if self.correlation_distance_m <= 0.0:
            raise ConfigError(f"correlation_distance_m must be > 0, {self.correlation_distance_m=}")
        if not 0.0 <= self.age <= 1.0:
            raise ConfigError(f"age must be in [0, 1], {self.age=}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The cell's geometry.

    Attributes:
        scatterers_SD: Positions of the scatterers [m].
        reflection_S: Complex reflection coefficients.
        centres_SD: Centres of the visibility regions [m].
        radii_S: Radii of the visibility regions [m].
        walls_W2D: End points of the walls [m].
    """

    scatterers_SD: Float
    reflection_S: Complex
    centres_SD: Float
    radii_S: Float
    walls_W2D: Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    """Propagation paths from the base station to each user; absent paths have gain 0.

    Attributes:
        gain_NP: Complex gain, phase at the carrier included.
        delay_NP: Absolute delay [s].
        angle_NP: Angle of departure from the base station [rad] whose sine is the y part of the
            direction: 0 along +x, positive to +y.
        elevation_NP: Angle of departure over the horizontal [rad]; None if all paths lie in it.
    """

    gain_NP: Complex
    delay_NP: Float
    angle_NP: Float
    elevation_NP: Float | None = None

    def parts(self, count: int) -> Iterator["Paths"]:
        """Yield the paths of so many users at a time."""
        for start in range(0, len(self.gain_NP), count):
            rows = slice(start, start + count)
            yield Paths(
                gain_NP=self.gain_NP[rows],
                delay_NP=self.delay_NP[rows],
                angle_NP=self.angle_NP[rows],
                elevation_NP=None if self.elevation_NP is None else self.elevation_NP[rows],
            )


def build_site(config: SiteConfig) -> Site:
    """Place scatterers, visibility regions and walls; the same configuration, the same cell."""
    present = _place(config, numpy_generator(config.seed, "site"))
    if config.age == 0.0:
        return present
    rng = numpy_generator(config.seed, "site in the past")
    gone_S = rng.permutation(config.num_scatterers) < round(config.age * config.num_scatterers)
    gone_W = rng.permutation(config.num_walls) < round(config.age * config.num_walls)
    past = _place(config, rng)
    return Site(
        scatterers_SD=np.where(gone_S[:, None], past.scatterers_SD, present.scatterers_SD),
        reflection_S=np.where(gone_S, past.reflection_S, present.reflection_S),
        centres_SD=np.where(gone_S[:, None], past.centres_SD, present.centres_SD),
        radii_S=np.where(gone_S, past.radii_S, present.radii_S),
        walls_W2D=np.where(gone_W[:, None, None], past.walls_W2D, present.walls_W2D),
    )


def _place(config: SiteConfig, rng: np.random.Generator) -> Site:
    count = config.num_scatterers
    scatterers_SD = np.stack(
        [
            rng.uniform(0.05, 1.0, count) * config.radius_m,
            rng.uniform(-1.0, 1.0, count) * config.radius_m,
        ],
        axis=-1,
    )
    reflection_S = rng.normal(size=(count, 2)) @ np.array([1.0, 1j]) / math.sqrt(2.0)
    offset_SD = rng.normal(size=(count, 2)) * 2.5 * config.correlation_distance_m
    return Site(
        scatterers_SD=scatterers_SD,
        reflection_S=config.scatter_gain * reflection_S,
        centres_SD=scatterers_SD + offset_SD,
        radii_S=rng.uniform(1.7, 5.0, count) * config.correlation_distance_m,
        walls_W2D=_place_walls(config, rng),
    )


def _place_walls(config: SiteConfig, rng: np.random.Generator) -> Float:
    """Put walls near the rim, facing the cell, each a fifth to a half of the radius long."""
    middle_W = rng.uniform(-0.45, 0.45, config.num_walls) * np.pi
    distance_W = rng.uniform(1.0, 1.3, config.num_walls) * config.radius_m
    half_W = rng.uniform(0.1, 0.25, config.num_walls) * config.radius_m
    tilt_W = middle_W + np.pi / 2 + rng.uniform(-0.3, 0.3, config.num_walls)
    centre_WD = np.stack([np.cos(middle_W), np.sin(middle_W)], -1) * distance_W[:, None]
    along_WD = np.stack([np.cos(tilt_W), np.sin(tilt_W)], -1) * half_W[:, None]
    return np.stack([centre_WD - along_WD, centre_WD + along_WD], axis=1)


def draw_positions(
    config: SiteConfig,
    count: int,
    rng: np.random.Generator,
    *,
    area: tuple[float, float, float] | None = None,
) -> Float:
    """Draw user positions uniformly over the half disc, or over one area of it [m], [N, 2].

    Args:
        config: The cell.
        count: How many positions.
        rng: Source of randomness.
        area: Centre x, centre y and radius [m] of a disc; the whole cell if None.
    """
    if area is not None:
        x, y, radius = area
        distance_N = radius * np.sqrt(rng.uniform(0.0, 1.0, count))
        angle_N = rng.uniform(-np.pi, np.pi, count)
        return np.stack(
            [x + distance_N * np.cos(angle_N), y + distance_N * np.sin(angle_N)], axis=-1
        )
    low, high = config.min_distance_m**2, config.radius_m**2
    distance_N = np.sqrt(rng.uniform(low, high, count))
    angle_N = rng.uniform(-0.5, 0.5, count) * np.pi
    return np.stack([distance_N * np.cos(angle_N), distance_N * np.sin(angle_N)], axis=-1)


def trace(config: SiteConfig, positions_ND: Float, *, carrier_hz: float) -> Paths:
    """Compute the paths to users at the given positions [m].

    Direct path: gain ``los_gain / d``. Scatterer k: gain ``2 v r_k / (d1 + d2)`` with
    ``v = exp(-(|u - c_k| / rho_k)^2)``, where c_k and rho_k are its visibility region. Wall:
    mirror image of the base station, gain ``wall_gain / d`` where the wall is hit. Every path has
    the phase ``-2 pi f_c tau`` of its length.

    Args:
        config: The cell.
        positions_ND: Users [m], shape [N, 2].
        carrier_hz: Carrier frequency [Hz].

    Returns:
        Paths with 1 + S + W columns: direct, scatterers, walls.
    """
    site = build_site(config)
    parts = [_direct(config, positions_ND), _scattered(site, positions_ND)]
    parts += [_mirrored(config, wall_2D, positions_ND) for wall_2D in site.walls_W2D]
    amplitude_NP, length_NP, angle_NP = (
        np.concatenate([part[i] for part in parts], axis=1) for i in range(3)
    )
    delay_NP = length_NP / SPEED_OF_LIGHT_M_S
    phase_NP = np.exp(-2j * np.pi * np.mod(carrier_hz * delay_NP, 1.0))
    return Paths(gain_NP=amplitude_NP * phase_NP, delay_NP=delay_NP, angle_NP=angle_NP)


def _direct(config: SiteConfig, positions_ND: Float) -> tuple[Complex, Float, Float]:
    length_N1 = np.linalg.norm(positions_ND, axis=-1, keepdims=True)
    gain = config.los_gain if config.line_of_sight else 0.0
    angle_N1 = np.arctan2(positions_ND[:, 1:], positions_ND[:, :1])
    return (gain / length_N1).astype(complex), length_N1, angle_N1


def _scattered(site: Site, positions_ND: Float) -> tuple[Complex, Float, Float]:
    first_S = np.linalg.norm(site.scatterers_SD, axis=-1)
    second_NS = np.linalg.norm(positions_ND[:, None] - site.scatterers_SD, axis=-1)
    far_NS = np.linalg.norm(positions_ND[:, None] - site.centres_SD, axis=-1) / site.radii_S
    length_NS = first_S + second_NS
    amplitude_NS = 2.0 * np.exp(-(far_NS**2)) * site.reflection_S / length_NS
    angle_S = np.arctan2(site.scatterers_SD[:, 1], site.scatterers_SD[:, 0])
    return amplitude_NS, length_NS, np.broadcast_to(angle_S, length_NS.shape)


def _mirrored(
    config: SiteConfig, wall_2D: Float, positions_ND: Float
) -> tuple[Complex, Float, Float]:
    """Reflect at one wall by the image method: the straight line from the base station's image."""
    start_D, along_D = wall_2D[0], wall_2D[1] - wall_2D[0]
    normal_D = np.array([-along_D[1], along_D[0]]) / np.linalg.norm(along_D)
    height = float(start_D @ normal_D)
    image_D = 2.0 * height * normal_D
    ray_ND = positions_ND - image_D
    towards_N = ray_ND @ normal_D
    # The line from the image meets the wall's plane after this share of its length.
    share_N = -height / np.where(towards_N == 0.0, np.inf, towards_N)
    hit_ND = image_D + share_N[:, None] * ray_ND
    along_N = (hit_ND - start_D) @ along_D / float(along_D @ along_D)
    seen_N = (share_N > 0.0) & (share_N < 1.0) & (along_N > 0.0) & (along_N < 1.0)
    length_N = np.linalg.norm(ray_ND, axis=-1)
    amplitude_N = np.where(seen_N, config.wall_gain / length_N, 0.0).astype(complex)
    return amplitude_N[:, None], length_N[:, None], np.arctan2(hit_ND[:, 1:], hit_ND[:, :1])
