"""Files of DeepSense 6G frames, read one by one into arrays that are kept on disk.

What is wrong with a file is noted and costs that frame only.

Shape suffixes in this file: F = frames.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kdtasks.contract.errors import DataError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Progress
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.reading import checked_inside, file_sha256
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_RAYS
from kdtasks.sensing.beams.radar_maps import NUM_ANGLES, NUM_CHIRPS
from kdtasks.sensing.deepsense.files import (
    doppler_file,
    read_lidar,
    read_position,
    read_power,
    read_radar,
    to_metres,
)
from kdtasks.sensing.deepsense.pictures import read_image
from kdtasks.sensing.deepsense.table import Defect, Table

LAYOUT = 2
"""Raised when the same files would give other arrays, so that old caches are not used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the files of one kind hold.

    Attributes:
        values: One entry per frame of the table.
        usable: Whether a frame's entry was read, (F,).
        defects: What was wrong with files.
    """

    values: NDArray[Any]
    usable: NDArray[np.bool_]
    defects: tuple[Defect, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """Shape and type of a frame's entry, and what stands for an unknown one."""

    shape: tuple[int, ...]
    dtype: DTypeLike
    unknown: float


_KINDS: Mapping[str, _Kind] = {
    "radar": _Kind(shape=(2, NUM_CHIRPS, NUM_ANGLES), dtype=np.float16, unknown=0.0),
    "lidar": _Kind(shape=(NUM_RAYS,), dtype=np.float32, unknown=0.0),
    "gps": _Kind(shape=(2,), dtype=np.float32, unknown=0.0),
    "power": _Kind(shape=(NUM_BEAMS,), dtype=np.float32, unknown=np.nan),
}


def read_arrays(
    table: Table, kinds: tuple[str, ...], *, image_size: int, cache_dir: Path, progress: Progress
) -> dict[str, Reading]:
    """Return what the files of several kinds hold.

    Args:
        table: Names the files.
        kinds: Of ``image``, ``radar``, ``lidar``, ``gps`` and ``power``.
        image_size: Pixels along either side of the pictures.
        cache_dir: Where arrays are kept, each kind on its own.
        progress: Called with frames done, each once per kind that is not in the cache.
    """
    caches = {kind: _cache(table, kind, image_size, cache_dir) for kind in kinds}
    found = {kind: _from_cache(cache) for kind, cache in caches.items()}
    missing = [kind for kind in kinds if found[kind] is None]
    readings = {kind: reading for kind, reading in found.items() if reading is not None}
    total = table.num_frames * len(missing)
    for turn, kind in enumerate(missing):

        def tick(done: int, before: int = turn * table.num_frames) -> None:
            progress(before + done, total, "frames")

        readings[kind] = _fill(caches[kind], table, kind, image_size, tick)
    return readings


def contents(table: Table, kind: str, *, dates: bool) -> str:
    """Return what tells whether files are still the same.

    Args:
        table: Names the files; its own content counts as well.
        kind: See `read_arrays`.
        dates: Whether times of change count, besides names and sizes. That of the inode is one that
            no program can set back.
    """
    digest = hashlib.sha256()
    for source, split in zip(table.sources, table.split_of_source, strict=True):
        digest.update(f"{split}\0{file_sha256(source)}\n".encode())
    for needed in ("gps", "base") if kind == "gps" else (kind,):
        for name in filter(None, dict.fromkeys(table.files[needed])):
            for path in filter(None, (table.root / name, doppler_file(table.root / name))):
                digest.update(f"{name}\0{_state(path, dates)}\n".encode())
    return digest.hexdigest()


def _state(path: Path, dates: bool) -> tuple[int, ...]:
    try:
        facts = path.stat()
    except (OSError, ValueError):  # missing, or a name that cannot be
        return (-1, 0)
    return (facts.st_size, *((facts.st_mtime_ns, facts.st_ctime_ns) if dates else (0,)))


def wanted_frames(table: Table, kind: str) -> NDArray[np.bool_]:
    """Return which frames need a file of a kind, shape [F].

    In a table of frames all do; in one of windows only past frames need sensors, and only predicted
    ones powers.
    """
    wanted_F = np.full(table.num_frames, table.layout == "frames")
    if table.layout == "windows":
        frames = np.array(table.slots if kind == "power" else table.past).ravel()
        wanted_F[frames[frames >= 0]] = True
    return wanted_F


def examine(
    table: Table, kind: str, look: Callable[[int], object]
) -> tuple[NDArray[np.bool_], list[Defect]]:
    """Look at the files of one kind.

    Args:
        table: Names the files.
        kind: See `read_arrays`.
        look: Called with each frame whose file is there; may raise `DataError`.

    Returns:
        Which frames passed, shape [F], and what was wrong with the others that are needed.
    """
    wanted_F = wanted_frames(table, kind)
    usable_F = np.zeros(table.num_frames, bool)
    defects: dict[str, Defect] = {}
    for frame in range(table.num_frames):
        name, problem = table.name(kind, frame), _problem(table, kind, frame, look)
        usable_F[frame] = problem is None
        if problem is not None and wanted_F[frame]:
            defects.setdefault(name, Defect(kind=problem[0], where=name, detail=problem[1]))
    return usable_F, list(defects.values())


def _problem(
    table: Table, kind: str, frame: int, look: Callable[[int], object]
) -> tuple[str, str] | None:
    """Return what is wrong with the file of a frame, in a word and in detail."""
    try:
        path = table.path(kind, frame)
        if path is not None and (doppler := doppler_file(path)) is not None:
            checked_inside(table.root, doppler)
    except DataError as error:
        return f"{kind} file elsewhere", str(error)
    if path is None:
        return f"no {kind} file", "the table names none"
    if not os.path.isfile(path):  # noqa: PTH113 - False for names that cannot be
        return f"missing {kind} file", f"not in {table.root}"
    try:
        look(frame)
    except DataError as error:
        return f"damaged {kind} file", str(error).removeprefix(f"{path}: ")
    return None


def nan_defects(table: Table, power_FB: NDArray[Any], usable_F: NDArray[np.bool_]) -> list[Defect]:
    """Return the power files that hold NaN."""
    count_F = np.isnan(power_FB).sum(axis=1)
    defects: dict[str, Defect] = {}
    for frame in np.flatnonzero(usable_F & (count_F > 0)).tolist():
        name, count = table.name("power", frame), int(count_F[frame])
        if count == NUM_BEAMS:
            kind, detail = "all powers NaN", "its beam is unknown"
        else:
            kind, detail = "NaN powers", f"{count} of {NUM_BEAMS}; its beam is the best other one"
        defects.setdefault(name, Defect(kind=kind, where=name, detail=detail))
    return list(defects.values())


def read_powers(table: Table) -> Reading:
    """Return the powers of all frames, float32 [F, 64], without a cache."""
    power_FB = np.full((table.num_frames, NUM_BEAMS), np.nan, np.float32)
    return _read(table, "power", 0, power_FB, lambda _done: None)


def _reader(table: Table, kind: str, image_size: int) -> Callable[[int], NDArray[Any]]:
    """Return what reads a frame's file, which is there."""
    if kind == "gps":
        bases: dict[Path | None, tuple[float, float]] = {}

        def read_gps(frame: int) -> NDArray[Any]:
            base = table.path("base", frame)
            if base is None:
                raise DataError(f"no position of the base station in {table.places[frame]}")
            if base not in bases:
                bases[base] = read_position(base)
            here = read_position(_there(table, kind, frame))
            return to_metres(np.array([here]), np.array([bases[base]])).reshape(2)

        return read_gps
    read: Mapping[str, Callable[[Path], NDArray[Any]]] = {
        "image": lambda path: read_image(path, image_size),
        "radar": read_radar,
        "lidar": read_lidar,
        "power": read_power,
    }
    return lambda frame: read[kind](_there(table, kind, frame))


def _there(table: Table, kind: str, frame: int) -> Path:
    path = table.path(kind, frame)
    assert path is not None
    return path


def _read(
    table: Table,
    kind: str,
    image_size: int,
    values: NDArray[Any],
    tick: Callable[[int], None],
) -> Reading:
    """Fill ``values``, which hold what stands for unknown entries."""
    read = _reader(table, kind, image_size)

    def look(frame: int) -> None:
        values[frame] = read(frame)
        tick(frame + 1)

    usable_F, defects = examine(table, kind, look)
    if kind == "power":
        defects += nan_defects(table, values, usable_F)
    tick(table.num_frames)
    return Reading(values=values, usable=usable_F, defects=tuple(defects))


def _cache(table: Table, kind: str, image_size: int, cache_dir: Path) -> ArrayCache:
    # Only what this kind depends on: another split or window rule keeps the arrays.
    identity = {"layout": LAYOUT, "contents": contents(table, kind, dates=True)}
    size = {"size": image_size} if kind == "image" else {}
    stem = f"deepsense-{kind}-{fingerprint({**identity, **size})}"
    return ArrayCache(cache_dir, stem, ("values", "usable"), __name__)


def _from_cache(cache: ArrayCache) -> Reading | None:
    arrays = cache.read()
    if arrays is None:
        return None
    defects = tuple(Defect(**defect) for defect in cache.card()["defects"])
    return Reading(values=arrays["values"], usable=np.asarray(arrays["usable"]), defects=defects)


def _fill(
    cache: ArrayCache,
    table: Table,
    kind: str,
    image_size: int,
    tick: Callable[[int], None],
) -> Reading:
    facts: dict[str, Any] = {}
    image = _Kind(shape=(image_size, image_size), dtype=np.uint8, unknown=0)
    about = _KINDS.get(kind, image)

    def make(paths: Mapping[str, Path]) -> None:
        values = np.lib.format.open_memmap(
            paths["values"], mode="w+", dtype=about.dtype, shape=(table.num_frames, *about.shape)
        )
        if about.unknown:
            values[...] = about.unknown
        reading = _read(table, kind, image_size, values, tick)
        values.flush()
        np.save(paths["usable"], reading.usable, allow_pickle=False)
        facts["defects"] = [asdict(defect) for defect in reading.defects]

    # The facts are known once the arrays are made, which `write` does first.
    arrays = cache.write(make, facts)
    defects = tuple(Defect(**defect) for defect in facts["defects"])
    return Reading(values=arrays["values"], usable=np.asarray(arrays["usable"]), defects=defects)
