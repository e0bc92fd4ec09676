"""Writes beam-tracking data to disk in the layout of DeepSense 6G scenario 9.

Made for synthetic sites, and what is written says so: the table is called ``synthetic_site.csv``.
Read back by `deepsense_data.load_deepsense`, the arrays are the same, pictures within the loss of
JPEG, or exactly as PNG. Two columns are ours, ``split`` and ``condition``.

Shape suffixes in this file: F = frames, S = pixels along either side, M = antennas, N = samples of
a chirp, C = chirps, R = rays, B = beams.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Arrays
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.beams.format import NUM_RAYS
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.deepsense.files import KEY, WGS84_AXIS_M, WGS84_ECCENTRICITY2
from kdtasks.sensing.deepsense.table import SYNTHETIC_TABLE

Cubes = Mapping[str, Iterable[NDArray[np.complex64]]]
"""Radar cubes (4, 256, 128) of every frame, by split."""

JPEG_QUALITY = 95

# A synthetic site lies where latitude and longitude are 0: there its metres are exact.
_EAST_M = WGS84_AXIS_M * np.pi / 180.0
_NORTH_M = _EAST_M * (1.0 - WGS84_ECCENTRICITY2)


def write_scenario(
    folder: Path,
    splits: Mapping[str, Arrays],
    *,
    cubes: Cubes | None = None,
    picture: Literal["jpg", "png"] = "jpg",
) -> Path:
    """Write the frames of a scenario.

    Windows are not written: they follow from the sequences when the data are read.

    Args:
        folder: Where; made if it is not there, and refused if it has a table already.
        splits: Train, val and test as `ScenarioData` has them; sensors that are absent are left
            out.
        cubes: What the radar maps were made of, written as scenario 9 has them; without them
            ``radar`` is written as maps, as published code keeps them.
        picture: Format of the pictures.

    Returns:
        The table.

    Raises:
        DataError: If there is a table already, sequences are in two splits, or there are not as
            many cubes as frames.
    """
    table = folder / SYNTHETIC_TABLE
    if table.exists():
        raise DataError(f"{table}: exists already; give another folder")
    _check_sequences(splits)
    writers = _Writers(folder, picture).by_column(splits["train"], with_cubes=cubes is not None)
    base = _text(folder, "unit1/GPS_data", "gps_location.txt", "0.0\n0.0\n")
    rows, index = [], 0
    for name in SPLITS:
        split = splits[name]
        cube_of = iter(cubes[name]) if cubes is not None else None
        best_F = best_beams(split["power"])
        for f in range(len(split["power"])):
            index += 1
            row: dict[str, Any] = {"index": index}
            row |= {column: write(split, f, index) for column, write in writers.items()}
            if cube_of is not None:
                row["unit1_radar"] = _write_cube(folder, cube_of, name, index)
            row |= {"unit1_loc": base} if "gps" in split else {}
            row |= {
                "unit1_beam": best_F[f] + 1 if best_F[f] >= 0 else "",
                "seq_index": split["frame_passage"][f],
                "split": name,
                "condition": split["condition"][f],
            }
            rows.append(row)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


Write = Callable[[Arrays, int, int], str]


class _Writers:
    """Writes a file of a frame; every method returns its path as it stands in the table."""

    def __init__(self, folder: Path, picture: str) -> None:
        self._folder = folder
        self._picture = picture

    def by_column(self, split: Arrays, *, with_cubes: bool) -> dict[str, Write]:
        """Return the methods that are needed."""
        columns: dict[str, tuple[str, Write]] = {
            "unit1_rgb": ("image", self.image),
            "unit1_pwr_60ghz": ("power", self.power),
            "unit1_lidar_SCR": ("lidar", self.scan),
            "unit1_radar": ("radar", self.maps),
            "unit2_loc": ("gps", self.position),
        }
        if with_cubes:
            del columns["unit1_radar"]
        return {name: write for name, (kind, write) in columns.items() if kind in split}

    def image(self, split: Arrays, f: int, index: int) -> str:
        name = f"image_BS_{index}.{self._picture}"
        picture = Image.fromarray(_gray(split["image"][f]))
        picture.save(_place(self._folder, "unit1/camera_data", name), quality=JPEG_QUALITY)
        return f"./unit1/camera_data/{name}"

    def power(self, split: Arrays, f: int, index: int) -> str:
        # 9 digits tell every float32 apart.
        text = "".join(f"{value:.9g}\n" for value in split["power"][f])
        return _text(self._folder, "unit1/mmWave_data", f"mmWave_power_{index}.txt", text)

    def scan(self, split: Arrays, f: int, index: int) -> str:
        range_R = np.asarray(split["lidar"][f])
        angle_R = np.where(range_R > 0.0, np.linspace(-np.pi / 2, np.pi / 2, NUM_RAYS), 0.0)
        name = f"Lidar_data_{index}.mat"
        path = _place(self._folder, "unit1/lidar_SCR_data", name)
        savemat(path, {KEY: np.stack([range_R, angle_R], axis=1).astype(np.float64)})
        return f"./unit1/lidar_SCR_data/{name}"

    def maps(self, split: Arrays, f: int, index: int) -> str:
        for channel, kind in enumerate(("RA", "DA")):
            path = _place(self._folder, f"unit1/radar_data_{kind}", f"data_{index}_{kind}.npy")
            np.save(path, split["radar"][f, channel], allow_pickle=False)
        return f"./unit1/radar_data_RA/data_{index}_RA.npy"

    def position(self, split: Arrays, f: int, index: int) -> str:
        east_m, north_m = (float(value) for value in split["gps"][f])
        text = f"{north_m / _NORTH_M!r}\n{east_m / _EAST_M!r}\n"
        return _text(self._folder, "unit2/GPS_data", f"gps_location_{index}.txt", text)


def _write_cube(
    folder: Path, cubes: Iterator[NDArray[np.complex64]], split: str, index: int
) -> str:
    cube_MNC = next(cubes, None)
    if cube_MNC is None:
        raise DataError(f"fewer radar cubes than frames in {split}")
    name = f"data_{index}.mat"
    savemat(_place(folder, "unit1/radar_data", name), {KEY: np.asarray(cube_MNC, np.complex64)})
    return f"./unit1/radar_data/{name}"


def _gray(frame_SS: NDArray[Any]) -> NDArray[np.uint8]:
    if frame_SS.dtype == np.uint8:
        return np.ascontiguousarray(frame_SS)
    return np.asarray(np.rint(np.clip(frame_SS, 0.0, 1.0) * 255.0), np.uint8)


def _check_sequences(splits: Mapping[str, Arrays]) -> None:
    seen: dict[int, str] = {}
    for name in SPLITS:
        for number in np.unique(splits[name]["frame_passage"]).tolist():
            if seen.setdefault(number, name) != name:
                raise DataError(f"sequence {number} is in {seen[number]} and in {name}")


def _place(folder: Path, where: str, name: str) -> Path:
    path = folder / where / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _text(folder: Path, where: str, name: str, text: str) -> str:
    _place(folder, where, name).write_text(text, encoding="utf-8")
    return f"./{where}/{name}"
