"""The street twin: lanes, vehicles and their passages in front of a base station.

It is a synthetic site, not a measured one. Geometry ends here: a `Passage` places every box
in every frame, and what the sensors make of it is computed elsewhere, each from a random stream of
its own, so that they agree on the geometry and do not depend on each other.

Coordinates [m]: the base station stands at the origin, x runs along the street, y away from the
base station, z up. Antenna, camera and radar hang at the height of the mast and look along +y.

Shape suffixes in this file: F = frames, V = vehicles, L = lanes, D = x, y, z.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdtasks.learning.random import numpy_generator, seed_for
from kdtasks.sensing.beams.format import DAY, NIGHT, RAIN
from kdtasks.sensing.street.geometry import not_negative, positive, ranges, refuse, shares

Float = NDArray[np.float64]

KINDS = {
    "car": (4.3, 1.8, 1.5),
    "van": (5.2, 2.0, 2.3),
    "truck": (9.0, 2.5, 3.8),
    "bus": (12.0, 2.55, 3.2),
    "bike": (1.9, 0.7, 1.6),
}
"""Length along x, width along y and height [m] by kind of vehicle."""

LEAST_SPEED = 0.7
"""Share of its speed at the base station that no vehicle falls below within the sector."""

TRIES = 5
"""How often a vehicle is drawn that comes too close to others, before it is left out."""

Mix = tuple[tuple[str, float], ...]
"""Kinds of vehicles, see `KINDS`, with their shares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreetConfig:
    """What drives by; two equal configurations are the same street with the same passages.

    Attributes:
        seed: Seed of the passages.
        site_seed: Seed of what stands still: texture of the walls, poles, gains of the beams.
        frame_rate_hz: Frames per second [Hz].
        mast_m: Height of antenna, camera and radar [m].
        sector_deg: A passage is the frames in which the bearing of the target's centre is within
            plus and minus this angle of +y [degrees].
        lanes_m: Distance of the lanes' centres from the base station [m].
        directions: 1 for lanes towards +x, -1 towards -x.
        facade_m: Distance of the facade behind the lanes [m].
        pole_row_m: Distance of the row of poles between lanes and facade [m].
        num_poles: Poles, at seeded places along the row.
        lane_jitter_m: Standard deviation of a vehicle's place across its lane, cut at twice [m].
        speed_m_s: Lowest and highest speed of a lane while the target passes [m/s].
        acceleration_m_s2: Standard deviation of a lane's acceleration [m/s^2], cut such that no
            vehicle falls below `LEAST_SPEED` of its speed within the sector.
        size_sd: Relative standard deviation of a vehicle's size.
        target_mix: Kinds of the vehicle that carries the user equipment.
        target_albedo: Brightness of the target in [0, 1].
        traffic: Mean number of other vehicles.
        max_traffic: Most other vehicles.
        traffic_mix: Kinds of the other vehicles.
        traffic_albedo: Darkest and brightest other vehicle in [0, 1].
        traffic_window_s: Others pass the base station within this time of the target [s].
        min_gap_m: Least distance between bumpers in a lane [m].
        antenna_above_roof_m: Height of the target's antenna above its roof [m].
        night_share: Share of passages at night.
        rain_share: Share of passages in rain or fog; the others are by day.
    """

    seed: int = 0
    site_seed: int = 1
    frame_rate_hz: float = 10.0
    mast_m: float = 4.5
    sector_deg: float = 50.0
    lanes_m: tuple[float, ...] = (9.5, 13.0, 17.0, 20.5)
    directions: tuple[int, ...] = (1, 1, -1, -1)
    facade_m: float = 27.0
    pole_row_m: float = 23.5
    num_poles: int = 5
    lane_jitter_m: float = 0.25
    speed_m_s: tuple[float, float] = (6.5, 13.0)
    acceleration_m_s2: float = 0.5
    size_sd: float = 0.04
    target_mix: Mix = (("van", 1.0),)
    target_albedo: float = 0.93
    traffic: float = 0.7
    max_traffic: int = 4
    traffic_mix: Mix = (("car", 5), ("van", 1.5), ("truck", 1.5), ("bus", 1), ("bike", 1))
    traffic_albedo: tuple[float, float] = (0.1, 0.8)
    traffic_window_s: float = 2.6
    min_gap_m: float = 3.0
    antenna_above_roof_m: float = 0.1
    night_share: float = 0.2
    rain_share: float = 0.1

    def __post_init__(self) -> None:
        not_negative(self, "seed", "site_seed", "num_poles", "max_traffic", "traffic")
        positive(self, "frame_rate_hz", "mast_m", "lanes_m", "speed_m_s", "sector_deg")
        not_negative(self, "lane_jitter_m", "acceleration_m_s2", "size_sd", "traffic_window_s")
        not_negative(self, "min_gap_m", "antenna_above_roof_m")
        shares(self, "target_albedo", "traffic_albedo", "night_share", "rain_share")
        ranges(self, "speed_m_s", "traffic_albedo")
        if self.sector_deg >= 90.0:
            refuse(self, "sector_deg", "below 90")
        if self.size_sd > 0.2:
            refuse(self, "size_sd", "at most 0.2")
        if self.night_share + self.rain_share > 1.0:
            refuse(self, "rain_share", f"at most 1 - night_share ({self.night_share=})")
        self._check_lanes()
        for name in ("target_mix", "traffic_mix"):
            self._check_mix(name)

    def _check_lanes(self) -> None:
        if not self.lanes_m:
            refuse(self, "lanes_m", "at least one lane")
        if len(self.directions) != len(self.lanes_m) or not set(self.directions) <= {-1, 1}:
            refuse(self, "directions", "1 or -1 for each lane of lanes_m")
        # Half of the widest vehicle, and of its jitter: boxes never reach base station or facade.
        room = 1.5 + 2.0 * self.lane_jitter_m
        if min(self.lanes_m) <= 2.0 + room:
            refuse(self, "lanes_m", f"beyond {2.0 + room:g} m: vehicles need room")
        if self.facade_m <= max(self.lanes_m) + room:
            refuse(self, "facade_m", f"beyond the last lane by {room:g} m")
        if not 0.0 < self.pole_row_m < self.facade_m:
            refuse(self, "pole_row_m", f"between 0 and {self.facade_m=}")

    def _check_mix(self, name: str) -> None:
        mix = getattr(self, name)
        if not mix or any(kind not in KINDS for kind, _ in mix):
            refuse(self, name, f"pairs of a kind and its share, kinds being {', '.join(KINDS)}")
        weights = [share for _, share in mix]
        if min(weights) < 0.0 or not 0.0 < sum(weights) < math.inf:
            refuse(self, name, "shares >= 0 that do not add up to 0")

    @property
    def reach_m(self) -> float:
        """How far from x = 0 the target can be [m]."""
        return self.sector_end_m(max(self.lanes_m) + 2.0 * self.lane_jitter_m)

    def sector_end_m(self, y_m: float) -> float:
        """Return the greatest x [m] inside the sector at a distance ``y_m`` [m]."""
        return y_m * math.tan(math.radians(self.sector_deg))


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One vehicle pass: vehicle 0 is the target, which carries the user equipment.

    Attributes:
        street: The street it happens in.
        index: Its number; with the street's seed it decides everything.
        condition: One of `CONDITIONS`; it concerns the camera alone.
        low_FVD: Lower corner of every vehicle's box in every frame [m].
        high_FVD: Upper corner [m].
        velocity_FV: Velocity along x [m/s].
        albedo_V: Brightness in [0, 1].
    """

    street: StreetConfig
    index: int
    condition: int
    low_FVD: Float
    high_FVD: Float
    velocity_FV: Float
    albedo_V: Float

    @property
    def num_frames(self) -> int:
        """Frames of the passage."""
        return len(self.low_FVD)

    @property
    def centres(self) -> Float:
        """Centres of the boxes [m], shape [F, V, 3]."""
        return 0.5 * (self.low_FVD + self.high_FVD)

    @property
    def antenna(self) -> Float:
        """The target's antenna [m], in the middle above its roof, shape [F, 3]."""
        antenna_FD = self.centres[:, 0].copy()
        antenna_FD[:, 2] = self.high_FVD[:, 0, 2] + self.street.antenna_above_roof_m
        return antenna_FD

    @property
    def mast(self) -> Float:
        """Where antenna, camera and radar of the base station are [m], shape [3]."""
        return np.array([0.0, 0.0, self.street.mast_m])

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the random stream of one sensor; no other purpose or passage shares it."""
        return passage_generator(self.street, self.index, purpose)


def passage_generator(street: StreetConfig, index: int, purpose: str) -> np.random.Generator:
    """Return the random stream of one passage for one purpose."""
    sequence = np.random.SeedSequence(seed_for(street.seed, f"street {purpose}"))
    child = np.random.SeedSequence(sequence.entropy, spawn_key=(index,))
    return np.random.default_rng(child)


class Lane(NamedTuple):
    """Motion of all vehicles of one lane while a passage lasts.

    Attributes:
        y_m: Distance from the base station [m].
        speed_m_s: Velocity at x = 0 along x [m/s].
        acceleration_m_s2: Acceleration along x [m/s^2].
    """

    y_m: float
    speed_m_s: float
    acceleration_m_s2: float

    def place(self, time_F: Float) -> Float:
        """Return x [m] of a vehicle that passes the base station at time 0."""
        return self.speed_m_s * time_F + 0.5 * self.acceleration_m_s2 * time_F**2

    def velocity(self, time_F: Float) -> Float:
        """Return the velocity along x [m/s]."""
        return self.speed_m_s + self.acceleration_m_s2 * time_F


class Vehicle(NamedTuple):
    """One vehicle of a passage.

    Attributes:
        lane: Number of its lane.
        time_s: When its centre passes the base station; the target does at 0 [s].
        across_m: Place across the lane, from its centre [m].
        size_D: Length, width and height [m].
        albedo: Brightness in [0, 1].
    """

    lane: int
    time_s: float
    across_m: float
    size_D: Float
    albedo: float


def pole_places(street: StreetConfig) -> Float:
    """Return x [m] of the poles, which stand at `StreetConfig.pole_row_m`."""
    rng = numpy_generator(street.site_seed, "street poles")
    return rng.uniform(-1.2, 1.2, street.num_poles) * street.reach_m


def build_passage(street: StreetConfig, index: int) -> Passage:
    """Return passage ``index``; those before and after it have no part in it."""
    rng = passage_generator(street, index, "traffic")
    draw = rng.random()
    night, rain = street.night_share, street.rain_share
    condition = NIGHT if draw < night else RAIN if draw < night + rain else DAY
    lanes = _lanes(street, rng)
    target = _vehicle(street, rng, street.target_mix, 0.0)
    target = target._replace(albedo=street.target_albedo)
    vehicles = [target, *_traffic(street, rng, lanes, target)]
    time_F = _frames(street, lanes[target.lane], target, rng.random())
    low, high, velocity = zip(*(_boxes(v, lanes[v.lane], time_F) for v in vehicles), strict=True)
    return Passage(
        street=street,
        index=index,
        condition=condition,
        low_FVD=np.stack(low, axis=1),
        high_FVD=np.stack(high, axis=1),
        velocity_FV=np.stack(velocity, axis=1),
        albedo_V=np.array([vehicle.albedo for vehicle in vehicles]),
    )


def _lanes(street: StreetConfig, rng: np.random.Generator) -> list[Lane]:
    count = len(street.lanes_m)
    speed_L = rng.uniform(*street.speed_m_s, count)
    # v^2 = v0^2 - 2 a x: below this limit v stays above LEAST_SPEED v0 up to the sector's end.
    limit_L = 0.5 * (1.0 - LEAST_SPEED**2) * speed_L**2 / street.reach_m
    acceleration_L = np.clip(street.acceleration_m_s2 * rng.normal(size=count), -limit_L, limit_L)
    return [
        Lane(y, sign * speed, sign * acceleration)
        for y, sign, speed, acceleration in zip(
            street.lanes_m, street.directions, speed_L, acceleration_L, strict=True
        )
    ]


def _vehicle(street: StreetConfig, rng: np.random.Generator, mix: Mix, window_s: float) -> Vehicle:
    weight = np.array([share for _, share in mix], float)
    kind = mix[int(rng.choice(len(mix), p=weight / weight.sum()))][0]
    stretch_D = 1.0 + street.size_sd * rng.normal(size=3).clip(-3.0, 3.0)
    return Vehicle(
        lane=int(rng.integers(len(street.lanes_m))),
        time_s=window_s * rng.uniform(-1.0, 1.0),
        across_m=street.lane_jitter_m * min(max(rng.normal(), -2.0), 2.0),
        size_D=np.array(KINDS[kind]) * stretch_D,
        albedo=rng.uniform(*street.traffic_albedo),
    )


def _traffic(
    street: StreetConfig, rng: np.random.Generator, lanes: list[Lane], target: Vehicle
) -> list[Vehicle]:
    """Draw the other vehicles; one that comes too close to another of its lane is redrawn."""
    kept = [target]
    for _ in range(min(int(rng.poisson(street.traffic)), street.max_traffic)):
        for _ in range(TRIES):
            new = _vehicle(street, rng, street.traffic_mix, street.traffic_window_s)
            if all(_apart(street, lanes[new.lane], new, old) for old in kept):
                kept.append(new)
                break
    return kept[1:]


def _apart(street: StreetConfig, lane: Lane, new: Vehicle, old: Vehicle) -> bool:
    """Return whether a vehicle never touches another: all of a lane move alike."""
    gap_m = LEAST_SPEED * abs(lane.speed_m_s) * abs(old.time_s - new.time_s)
    bumpers_m = 0.5 * float(old.size_D[0] + new.size_D[0])
    return old.lane != new.lane or gap_m > bumpers_m + street.min_gap_m


def _frames(street: StreetConfig, lane: Lane, target: Vehicle, phase: float) -> Float:
    """Return the times [s] of the frames in which the target is in the sector."""
    count = math.ceil(street.reach_m * street.frame_rate_hz / (LEAST_SPEED * abs(lane.speed_m_s)))
    time_F = np.arange(-count + phase, count + 1) / street.frame_rate_hz
    end_m = street.sector_end_m(lane.y_m + target.across_m)
    return time_F[np.abs(lane.place(time_F)) <= end_m]


def _boxes(vehicle: Vehicle, lane: Lane, time_F: Float) -> tuple[Float, Float, Float]:
    own_F = time_F - vehicle.time_s
    centre_FD = np.zeros((len(time_F), 3))
    centre_FD[:, 0] = lane.place(own_F)
    centre_FD[:, 1] = lane.y_m + vehicle.across_m
    centre_FD[:, 2] = 0.5 * vehicle.size_D[2]
    half_D = 0.5 * vehicle.size_D
    return centre_FD - half_D, centre_FD + half_D, lane.velocity(own_F)
