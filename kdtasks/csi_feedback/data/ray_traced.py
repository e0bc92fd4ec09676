"""Sites of real cities, or of the user's own scene file, traced by Sionna RT.

A scenario ``rt:munich`` is a city of Sionna RT with a station of ours; ``rt:SCENE@x,y,z`` puts the
station elsewhere [m], SCENE may be a Mitsuba file (``.xml``) with the conventions of Sionna RT, and
``?name=value&...`` sets what `TracedSite` has beside. Paths do not depend on the array and the
subcarriers, so that they are traced once for all of these.
"""

import re
import sys
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Progress
from kdtasks.csi_feedback.data.scenario_names import read_numbers, read_options
from kdtasks.csi_feedback.data.site import Paths
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.ray_tracing import run_tracer, tracer_versions
from kdtasks.data.reading import content_of
from kdtasks.data.splits import SplitPlan
from kdtasks.learning.random import seed_for

PREFIX = "rt:"

LAYOUT = 2
"""Counted up when equal settings begin to give other data."""

CITIES: dict[str, tuple[float, float, float]] = {
    "munich": (8.5, 21.0, 27.0),
    "etoile": (60.0, 0.0, 25.0),
    "florence": (-20.0, -20.0, 32.0),
    "san_francisco": (0.0, -20.0, 45.0),
}
"""Cities of Sionna RT with the place of our station [m]: on a roof, or on a mast."""

LICENCE = "scene (c) OpenStreetMap contributors, ODbL 1.0; by Sionna RT, Apache-2.0"

ARRAYS = ("gain", "delay", "angle", "elevation", "positions")


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedSite:
    """A scene with a station, and where its users are.

    Attributes:
        scene: A city of `CITIES`, or the path of a Mitsuba scene file.
        station_m: Where the base station is [m].
        carrier_ghz: Carrier frequency [GHz].
        bandwidth_mhz: Bandwidth that all subcarriers share [MHz].
        radius_m: Users are at most this far from the station [m].
        height_m: Height of users over the ground [m].
        depth: Bounces of a path at most.
        block_m: Side of the squares of the map that the split deals out [m].
        rows: Rows of the base station's array, see `Observation`.
    """

    scene: str
    station_m: tuple[float, float, float]
    carrier_ghz: float = 3.5
    bandwidth_mhz: float = 70.0
    radius_m: float = 200.0
    height_m: float = 1.5
    depth: int = 4
    block_m: float = 20.0
    rows: int = 1

    @property
    def source(self) -> str:
        """Where channels are from, in words."""
        return f"{self.scene}, ray-traced by Sionna RT"

    @property
    def carrier_hz(self) -> float:
        """Carrier frequency [Hz]."""
        return self.carrier_ghz * 1e9

    @property
    def licence(self) -> str:
        """Whose rights the scene is under."""
        return LICENCE if self.scene in CITIES else f"that of the scene {Path(self.scene).name}"

    @property
    def identity(self) -> dict[str, Any]:
        """What decides paths: settings, and the content of the scene.

        Raises:
            DataError: If Sionna RT is not installed, or the file cannot be read.
        """
        own = self.scene.endswith(".xml")
        files = [Path(self.scene), *_meshes(Path(self.scene))] if own else []
        return {
            **asdict(self),
            "layout": LAYOUT,
            "scene": "" if own else self.scene,
            "files": {file.name: content_of(file) for file in files},
            "versions": tracer_versions(),
        }

    def users(
        self, plan: SplitPlan, *, cache_dir: Path, progress: Progress
    ) -> tuple[Paths, NDArray[np.float64], dict[str, Any]]:
        """Return the paths of as many users as a plan draws, where they are, and no facts.

        See `trace_users`.
        """
        paths, positions = trace_users(
            self, plan.to_draw, seed=plan.seed, cache_dir=cache_dir, progress=progress
        )
        return paths, positions, {}


OPTIONS: dict[str, type] = {one.name: type(one.default) for one in fields(TracedSite)[2:]}
"""Settings that a scenario's name can have, with their types."""


def traced_site(scenario: str) -> TracedSite | None:
    """Return the site that a scenario names, None if it is no ray-traced one.

    Raises:
        ConfigError: If it is one, but cannot be understood.
    """
    if not scenario.startswith(PREFIX):
        return None
    rest, _, query = scenario.removeprefix(PREFIX).partition("?")
    scene, at, place = rest.partition("@")
    if scene not in CITIES and not scene.endswith(".xml"):
        raise ConfigError(
            f"scenario={scenario!r}: no city {scene!r}; take one of {', '.join(CITIES)}, or the "
            "path of a Mitsuba scene file (.xml)"
        )
    if scene not in CITIES and not at:
        raise ConfigError(
            f"scenario={scenario!r}: say where the base station is, {PREFIX}{scene}@x,y,z [m]"
        )
    station = read_numbers(scenario, place, 3) if at else CITIES[scene]
    return TracedSite(scene=scene, station_m=station, **read_options(scenario, query, OPTIONS))


def _meshes(file: Path) -> list[Path]:
    """Return the files that a scene names.

    Raises:
        DataError: If the scene cannot be read.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a Mitsuba scene: {error}") from error
    names = sorted(set(re.findall(r'name="filename"\s+value="([^"]+)"', text)))
    return [file.parent / name for name in names]


def trace_users(
    site: TracedSite, count: int, *, seed: int, cache_dir: Path, progress: Progress
) -> tuple[Paths, NDArray[np.float64]]:
    """Return the paths of users who have one, and where they are.

    Args:
        site: The scene.
        count: Users.
        seed: Of their positions.
        cache_dir: Where paths are kept.
        progress: Called while users are traced; never when the cache holds them.

    Returns:
        Paths, and positions relative to the station [m], shape [N, 2].

    Raises:
        DataError: If Sionna RT or its LLVM is missing, or too few users have a path.
    """
    identity = {**site.identity, "count": count, "seed": seed}
    for name in ("bandwidth_mhz", "block_m", "rows"):  # paths do not depend on these
        del identity[name]
    cache = ArrayCache(cache_dir, f"rt-{fingerprint(identity)}", ARRAYS, __name__)
    arrays = cache.read()
    if arrays is None:
        job = {
            **asdict(site),
            "scene": str(Path(site.scene).absolute()) if site.scene not in CITIES else site.scene,
            "carrier_hz": site.carrier_hz,
            "count": count,
            "unit": "users",
            "seed": seed_for(seed, "users of a traced scene"),
        }
        trace = partial(run_tracer, __name__, job, scene=site.scene, progress=progress)
        arrays = cache.write(lambda files: trace(files=files), {"facts": identity})
    paths = Paths(
        gain_NP=arrays["gain"].astype(np.complex128),
        delay_NP=arrays["delay"].astype(np.float64),
        angle_NP=arrays["angle"].astype(np.float64),
        elevation_NP=arrays["elevation"].astype(np.float64),
    )
    return paths, arrays["positions"][:, :2].astype(np.float64) - np.array(site.station_m[:2])


if __name__ == "__main__":  # what `run_tracer` starts; imported here, it counts as source
    from kdtasks.csi_feedback.data.trace_scene import run

    run(Path(sys.argv[1]))
