r"""The street's paths as Sionna RT traces them, through the boxes that its sensors see.

Ground, the facade and a wall behind the base station are of concrete, poles and vehicles of metal
(ITU-R P.2040, which knows no marble or brick at 60 GHz). Paths reflect specularly; they go round
no edge and through no wall. Amplitudes are in the unit of `RadioConfig.reference_m`, so that all
that the array makes of paths is as on the synthetic street:

.. math:: g = a\, e^{-j 2 \pi f \tau}\, \frac{4 \pi d_0}{\lambda}

Shape suffixes in this file: F = frames, V = vehicles, P = paths, D = x, y, z.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Progress
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.constants import SPEED_OF_LIGHT_M_S
from kdtasks.data.ray_tracing import run_tracer, tracer_versions
from kdtasks.sensing.street.backdrop import FACADE_HEIGHT_M, POLE_HEIGHT_M, POLE_WIDTH_M
from kdtasks.sensing.street.geometry import positive
from kdtasks.sensing.street.radio import RadioConfig, RadioPaths
from kdtasks.sensing.street.traffic import Passage, StreetConfig, pole_places

Float = NDArray[np.float64]

LAYOUT = 1
"""Counted up when equal settings begin to give other paths."""

ARRAYS = ("gain", "delay", "sine")

MATERIALS = {"walls": "concrete", "poles": "metal"}
"""What stands still, with its material."""

THICK_M = 0.5
"""Thickness of ground and walls [m]; nothing passes through them."""

BELOW_M = 20.0
"""Depth under the ground of vehicles that a frame does not have [m]."""

DETOUR_M = 1e-3
"""A path no longer than the line of sight by this is the line of sight [m]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TracingConfig:
    """What the scene has beside the street, and how finely it is traced.

    Attributes:
        wall_behind_m: Distance of the wall behind the base station [m].
        half_length_m: How far ground and walls reach to either side [m].
        depth: Bounces of a path at most.
        rays: Rays from the base station, among whose bounces the paths are found.
    """

    wall_behind_m: float = 3.0
    half_length_m: float = 100.0
    depth: int = 3
    rays: int = 10_000

    def __post_init__(self) -> None:
        positive(self, "wall_behind_m", "half_length_m", "depth", "rays")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides paths beside the street.

        Raises:
            DataError: If Sionna RT is not installed.
        """
        return {**asdict(self), "layout": LAYOUT, "versions": tracer_versions()}


def still_boxes(street: StreetConfig, tracing: TracingConfig) -> dict[str, Float]:
    """Return lower and upper corners of what stands still [m], shape [V, 3] each."""
    end, behind, facade = tracing.half_length_m, -tracing.wall_behind_m, street.facade_m
    walls = [  # ground, facade, wall behind
        ((-end, behind, -THICK_M), (end, facade, 0.0)),
        ((-end, facade, 0.0), (end, facade + THICK_M, FACADE_HEIGHT_M)),
        ((-end, behind - THICK_M, 0.0), (end, behind, FACADE_HEIGHT_M)),
    ]
    half, row = 0.5 * POLE_WIDTH_M, street.pole_row_m
    poles = [
        ((x - half, row, 0.0), (x + half, row + POLE_WIDTH_M, POLE_HEIGHT_M))
        for x in pole_places(street)
    ]
    corners = {"walls": walls, "poles": poles}
    return {
        f"{name}_{side}": np.array([box[i] for box in found], float).reshape(-1, 3)
        for name, found in corners.items()
        for i, side in enumerate(("low", "high"))
    }


def moving_boxes(passages: Sequence[Passage]) -> dict[str, Float]:
    """Return the vehicles of all frames in a row, as many in each, and the target's antenna [m].

    Vehicles that a passage does not have lie under the ground.
    """
    most = max(passage.low_FVD.shape[1] for passage in passages)
    found: dict[str, list[Float]] = {"low": [], "high": [], "antenna": []}
    for passage in passages:
        for name, side_FVD, depth in (
            ("low", passage.low_FVD, BELOW_M),
            ("high", passage.high_FVD, BELOW_M - 1.0),
        ):
            absent = np.full((len(side_FVD), most - side_FVD.shape[1], 3), -depth)
            found[name].append(np.concatenate([side_FVD, absent], axis=1))
        found["antenna"].append(passage.antenna)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def cache_of(
    passages: Sequence[Passage], radio: RadioConfig, tracing: TracingConfig, cache_dir: Path
) -> ArrayCache:
    """Return where the paths of passages are kept; codebook and noise have no part in them.

    Raises:
        DataError: If Sionna RT is not installed.
    """
    identity = {
        "street": asdict(passages[0].street),
        "passages": [passage.index for passage in passages],
        "carrier_hz": radio.carrier_hz,
        **tracing.identity,
    }
    return ArrayCache(cache_dir, f"rt-street-{fingerprint(identity)}", ARRAYS, __name__)


def trace_passages(
    passages: Sequence[Passage],
    radio: RadioConfig,
    tracing: TracingConfig,
    cache: ArrayCache,
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """Trace the paths of passages of one street.

    Returns:
        Arrays of `trace_street.run`, by name of `ARRAYS`.

    Raises:
        DataError: If Sionna RT or its LLVM is missing.
    """
    street = passages[0].street
    job = {
        "count": len(passages),
        "unit": "passages",
        "frames": [passage.num_frames for passage in passages],
        "carrier_hz": radio.carrier_hz,
        "mast": passages[0].mast.tolist(),
        "depth": tracing.depth,
        "rays": tracing.rays,
        "still": {n: m for n, m in MATERIALS.items() if n != "poles" or street.num_poles},
    }
    given = {**still_boxes(street, tracing), **moving_boxes(passages)}
    make = partial(run_tracer, __name__, job, scene="street", progress=progress, given=given)
    return cache.write(lambda files: make(files=files), {"facts": tracing.identity})


def radio_paths(
    arrays: Mapping[str, NDArray[Any]], passages: Sequence[Passage], radio: RadioConfig
) -> list[RadioPaths]:
    """Return the traced paths of each passage, the line of sight first, as `trace_radio` does."""
    away_FD = np.concatenate([passage.antenna - passage.mast for passage in passages])
    delay_FP = arrays["delay"].astype(np.float64)
    sine_FP = arrays["sine"].astype(np.float64)
    reference = 4.0 * np.pi * radio.reference_m * radio.carrier_hz / SPEED_OF_LIGHT_M_S
    turns_FP = np.mod(delay_FP * radio.carrier_hz, 1.0)
    gain_FP = arrays["gain"].astype(np.complex128) * reference * np.exp(-2j * np.pi * turns_FP)
    detour_F = delay_FP[:, 0] * SPEED_OF_LIGHT_M_S - np.linalg.norm(away_FD, axis=1)
    direct_F1 = (np.abs(detour_F) < DETOUR_M)[:, None]
    gain_FP = np.hstack(
        [
            np.where(direct_F1, gain_FP[:, :1], 0.0),
            np.where(direct_F1, 0.0, gain_FP[:, :1]),
            gain_FP[:, 1:],
        ]
    )
    sine_FP = np.hstack([sine_FP[:, :1], sine_FP])
    ends = np.cumsum([passage.num_frames for passage in passages])[:-1]
    return [
        RadioPaths(gain_FP=gain, sine_FP=sine, blocked_FP=gain == 0.0)
        for gain, sine in zip(np.split(gain_FP, ends), np.split(sine_FP, ends), strict=True)
    ]


if __name__ == "__main__":  # what `run_tracer` starts; imported here, it counts as source
    from kdtasks.sensing.street.trace_street import run

    run(Path(sys.argv[1]))
