"""From the street twin's configuration to the splits that beam-tracking tasks train on.

It is a synthetic site, and its provenance records that. Frames are stored once and windows point at
them. A passage is made from the seed and its number alone, and splits number theirs apart from each
other: more passages in one of them change none of the others.

Shape suffixes in this file: F = frames, S = pixels along either side.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import DTypeLike, NDArray

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Arrays, Progress, ScenarioData
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.beams.format import CONDITIONS
from kdtasks.sensing.beams.radar_maps import NUM_ANGLES, NUM_CHIRPS
from kdtasks.sensing.beams.windows import SPAN, make_windows
from kdtasks.sensing.street.camera import CameraConfig, camera_frames
from kdtasks.sensing.street.geometry import refuse
from kdtasks.sensing.street.gps import GpsConfig, positions
from kdtasks.sensing.street.lidar import LidarConfig, scans
from kdtasks.sensing.street.radar import RadarConfig, maps
from kdtasks.sensing.street.radio import RadioConfig, RadioPaths, beam_powers, trace_radio
from kdtasks.sensing.street.ray_traced import (
    TracingConfig,
    cache_of,
    radio_paths,
    trace_passages,
)
from kdtasks.sensing.street.traffic import Passage, StreetConfig, build_passage

LAYOUT = 1
"""Raised when the same settings would give other data, so that old caches are not used."""

SOURCE = "street twin (synthetic site: simulated geometry and sensors, nothing measured)"
"""What the data are; stands in every provenance."""

TRACED = "street twin, its paths traced by Sionna RT (synthetic site: simulated, nothing measured)"
"""The same of a ray-traced street."""

FIRST = {"train": 0, "val": 10_000_000, "test": 20_000_000}
"""Number of the first passage of each split."""

SENSORS = ("image", "radar", "lidar", "gps")
"""What a frame can hold besides the beams' powers."""

PICTURE_MS, PIXEL_MS, RADAR_MS, PATHS_MS = 0.3, 1.3e-5, 13.0, 25.0
"""CPU time of a picture, of each of its pixels, of the maps of a radar frame, and of tracing the
paths of a frame, on one x86 core; only their ratios matter."""

Passages = Mapping[str, list[Passage]]
"""Passages of train, val and test."""

Paths = Mapping[str, list[RadioPaths]]
"""Paths of the passages of each split."""

SLOW = ("image", "radar")
"""Sensors that are cached."""

PATHS = "paths"
"""What is cached beside sensors, where paths are traced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinConfig:
    """The street and everything that observes it.

    Attributes:
        street: Lanes and what drives on them.
        radio: Array that measures the beams' powers.
        camera: Camera.
        radar: FMCW radar.
        lidar: Laser scanner.
        gps: Receiver on the target.
    """

    street: StreetConfig = field(default_factory=StreetConfig)
    radio: RadioConfig = field(default_factory=RadioConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    radar: RadarConfig = field(default_factory=RadarConfig)
    lidar: LidarConfig = field(default_factory=LidarConfig)
    gps: GpsConfig = field(default_factory=GpsConfig)


BEAM_TWIN = TwinConfig()
"""A van among other traffic, for camera and radar; a third of the passages are dark or wet."""

LIDAR_TWIN = TwinConfig(
    street=StreetConfig(
        lanes_m=(8.0, 11.5, 15.0, 18.5),
        sector_deg=65.0,
        lane_jitter_m=0.2,
        speed_m_s=(6.0, 15.0),
        size_sd=0.1,
        target_mix=(("car", 6), ("truck", 1), ("bus", 1)),
        traffic_mix=(("car", 6), ("truck", 1), ("bus", 1)),
        traffic=0.29,
        max_traffic=1,
    ),
    radio=RadioConfig(sector_deg=65.0),
)
"""For the laser scanner: targets of several sizes, another vehicle in a quarter of the passages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreetData:
    """Which data of the street twin, and how many.

    Attributes:
        twin: The street and its sensors; its seeds decide everything random.
        passages: Passages of train, val and test.
        sensors: Which of `SENSORS` are stored; beams' powers always are.
        image_size: Pixels along either side of the pictures.
        strict: Window rule, see `beam_windows.window_starts`.
        stride: Frames from one window to the next.
        tracing: How Sionna RT traces the paths; None for the paths of `trace_radio`.
    """

    twin: TwinConfig = BEAM_TWIN
    passages: tuple[int, int, int]
    sensors: tuple[str, ...]
    image_size: int = 64
    strict: bool = True
    stride: int = 1
    tracing: TracingConfig | None = None

    def __post_init__(self) -> None:
        if len(self.passages) != len(SPLITS) or not all(
            0 < count <= FIRST["val"] for count in self.passages
        ):
            refuse(self, "passages", f"three counts of 1 to {FIRST['val']}, of train, val, test")
        if len(set(self.sensors)) != len(self.sensors) or not set(self.sensors) <= set(SENSORS):
            refuse(self, "sensors", f"some of {', '.join(SENSORS)}, each once")
        if not 8 <= self.image_size <= 1024:
            refuse(self, "image_size", "8 to 1024 pixels")
        if self.stride < 1:
            refuse(self, "stride", ">= 1")

    @property
    def fingerprint(self) -> str:
        """Identity of the data; the order of sensors has no part in it.

        Raises:
            DataError: If paths are to be traced, and Sionna RT is not installed.
        """
        facts = {"layout": LAYOUT, **asdict(self), "sensors": sorted(self.sensors)}
        del facts["tracing"]
        return fingerprint(facts | ({"tracing": self.tracing.identity} if self.tracing else {}))


def build_passages(data: StreetData) -> Passages:
    """Return the passages of every split, without what sensors make of them."""
    return {
        name: [build_passage(data.twin.street, FIRST[name] + i) for i in range(count)]
        for name, count in zip(SPLITS, data.passages, strict=True)
    }


def load_street(data: StreetData, *, cache_dir: Path, progress: Progress) -> ScenarioData:
    """Return the frames and windows of the street twin.

    Each split holds, with F frames and W windows: ``power`` float32 [F, 64], linear; ``condition``
    int8 [F], see `CONDITIONS`; ``frame_passage`` int32 [F]; ``window`` int32 [W, 8];
    ``label`` int64 [W, 4]; ``passage`` int32 [W]; and of the sensors that were asked for ``image``
    uint8 [F, S, S], ``radar`` float16 [F, 2, 128, 64], ``lidar`` float32 [F, 216] [m] and ``gps``
    float32 [F, 2] [m].

    Args:
        data: What to make.
        cache_dir: Where pictures and radar maps are kept; the rest takes milliseconds.
        progress: Called with the passages that are made and not in the cache; of a passage each
            sensor counts by the time that it takes.

    Raises:
        ConfigError: If passages are too short for windows.
        DataError: If paths are to be traced, and Sionna RT or its LLVM is missing.
    """
    passages = build_passages(data)
    slow, paths = _slow_parts(data, passages, cache_dir, progress)
    splits = {name: _split(data, passages[name], paths[name]) | slow[name] for name in SPLITS}
    for name, split in splits.items():
        if not len(split["window"]):
            raise ConfigError(
                f"no {name} passage has the {SPAN} frames and more that a window needs: raise "
                "frame_rate_hz, lower speed_m_s or take more passages"
            )
    return ScenarioData(**splits, provenance=_provenance(data, passages, paths, splits))


def _split(
    data: StreetData, passages: list[Passage], paths: list[RadioPaths]
) -> dict[str, NDArray[Any]]:
    """Return everything of a split that takes no time."""
    frames = [passage.num_frames for passage in passages]
    twin = data.twin
    numbers = np.array([passage.index for passage in passages], np.int32)
    conditions = np.array([passage.condition for passage in passages], np.int8)
    split: dict[str, NDArray[Any]] = {
        "power": np.concatenate(
            [beam_powers(one, twin.radio, its) for one, its in zip(passages, paths, strict=True)]
        ),
        "condition": conditions.repeat(frames),
        "frame_passage": numbers.repeat(frames),
    }
    if "lidar" in data.sensors:
        split["lidar"] = np.concatenate([scans(passage, twin.lidar) for passage in passages])
    if "gps" in data.sensors:
        split["gps"] = np.concatenate([positions(passage, twin.gps) for passage in passages])
    windows = make_windows(
        split["frame_passage"], split["power"], strict=data.strict, stride=data.stride
    )
    return split | windows


@dataclass(frozen=True, kw_only=True, slots=True)
class _CachedSensor:
    """A sensor worth caching.

    Attributes:
        shape: Of a frame.
        dtype: Of a frame.
        make: Makes the frames of a passage.
        settings: What decides on them.
        work: About how long a frame takes [ms].
    """

    shape: tuple[int, ...]
    dtype: DTypeLike
    make: Callable[[Passage], NDArray[Any]]
    settings: Mapping[str, Any]
    work: float


def _slow(data: StreetData, sensor: str) -> _CachedSensor:
    twin, size = data.twin, data.image_size
    if sensor == "image":
        return _CachedSensor(
            shape=(size, size),
            dtype=np.uint8,
            make=lambda passage: camera_frames(passage, twin.camera, size=size),
            settings={"camera": asdict(twin.camera), "size": size},
            work=PICTURE_MS + PIXEL_MS * size**2,
        )
    return _CachedSensor(
        shape=(2, NUM_CHIRPS, NUM_ANGLES),
        dtype=np.float16,
        make=lambda passage: maps(passage, twin.radar),
        settings={"radar": asdict(twin.radar)},
        work=RADAR_MS,
    )


def _slow_parts(
    data: StreetData, passages: Passages, cache_dir: Path, progress: Progress
) -> tuple[dict[str, dict[str, NDArray[Any]]], Paths]:
    """Return pictures and radar maps by split and sensor, and the paths of every split.

    What takes time is read from the cache, or made.
    """
    all_passages = [passage for name in SPLITS for passage in passages[name]]
    wanted = [name for name in data.sensors if name in SLOW]
    sensors = {name: _slow(data, name) for name in wanted}
    caches = {name: _cache(data, name, cache_dir) for name in wanted}
    works = {name: slow.work for name, slow in sensors.items()}
    if data.tracing:
        caches[PATHS] = cache_of(all_passages, data.twin.radio, data.tracing, cache_dir)
        works[PATHS] = PATHS_MS
    found = {name: arrays for name, cache in caches.items() if (arrays := cache.read())}
    missing = {name: work for name, work in works.items() if name not in found}
    for name, tick in _shares(missing, sum(data.passages), progress):
        if name in sensors:
            found[name] = _fill(caches[name], sensors[name], passages, tick)
        else:
            assert data.tracing
            found[name] = trace_passages(
                all_passages, data.twin.radio, data.tracing, caches[name], tick
            )
    if data.tracing:
        paths = radio_paths(found[PATHS], all_passages, data.twin.radio)
    else:
        paths = [trace_radio(passage, data.twin.radio) for passage in all_passages]
    ways = iter(paths)
    return (
        {name: {sensor: found[sensor][name] for sensor in sensors} for name in SPLITS},
        {name: [next(ways) for _ in passages[name]] for name in SPLITS},
    )


def _shares(
    works: Mapping[str, float], total: int, progress: Progress
) -> Iterator[tuple[str, Progress]]:
    """Yield what takes time with a progress of its own, which is its share of the whole."""
    before = 0.0
    for name, work in works.items():
        share = work / sum(works.values())

        def tick(
            done: int, of: int, unit: str, before: float = before, share: float = share
        ) -> None:
            progress(round(before + share * done), of, unit)

        yield name, tick
        before += share * total


def _cache(data: StreetData, sensor: str, cache_dir: Path) -> ArrayCache:
    # Only what this sensor depends on: another window rule or codebook keeps the pictures.
    identity = fingerprint(
        {
            "layout": LAYOUT,
            "street": asdict(data.twin.street),
            "passages": data.passages,
            **_slow(data, sensor).settings,
        }
    )
    return ArrayCache(cache_dir, f"street-{sensor}-{identity}", SPLITS, __name__)


def _fill(
    cache: ArrayCache, slow: _CachedSensor, passages: Passages, progress: Progress
) -> dict[str, NDArray[Any]]:
    def make(paths: Mapping[str, Path]) -> None:
        done, total = 0, sum(len(passages[name]) for name in SPLITS)
        for name in SPLITS:
            count = sum(passage.num_frames for passage in passages[name])
            array = np.lib.format.open_memmap(
                paths[name], mode="w+", dtype=slow.dtype, shape=(count, *slow.shape)
            )
            start = 0
            for passage in passages[name]:
                array[start : start + passage.num_frames] = slow.make(passage)
                start += passage.num_frames
                done += 1
                progress(done, total, "passages")
            array.flush()

    return cache.write(make, {"source": SOURCE, "settings": dict(slow.settings)})


def _provenance(
    data: StreetData, passages: Passages, paths: Paths, splits: Mapping[str, Arrays]
) -> dict[str, Any]:
    def facts(name: str) -> dict[str, Any]:
        hidden = [its.blocked_FP[:, 0] for its in paths[name]]
        unreached = [(its.gain_FP == 0.0).all(axis=1) for its in paths[name]]
        traced = {"share_of_frames_without_a_path": float(np.concatenate(unreached).mean())}
        return {
            "first_passage": FIRST[name],
            "passages": len(passages[name]),
            "frames": len(splits[name]["power"]),
            "windows": len(splits[name]["window"]),
            "passages_by_condition": {
                condition: sum(passage.condition == number for passage in passages[name])
                for condition, number in CONDITIONS.items()
            },
            "share_of_frames_without_line_of_sight": float(np.concatenate(hidden).mean()),
            **(traced if data.tracing else {}),
        }

    tracer = data.tracing.identity["versions"] if data.tracing else {}
    return {
        "source": TRACED if data.tracing else SOURCE,
        "synthetic": True,
        "layout": LAYOUT,
        "fingerprint": data.fingerprint,
        "settings": asdict(data),
        "made_with": {"numpy": np.__version__, "scipy": scipy.__version__, **tracer},
        "split": {"by": "passage", "of": {name: facts(name) for name in SPLITS}},
    }
