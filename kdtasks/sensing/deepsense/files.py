"""Readers of the files of a DeepSense 6G scenario, one frame each; pictures apart.

Whatever is wrong with a file becomes one `DataError` that names it; nothing in here runs code
that a file brings along, and nothing is unpacked before its size is known.

Layouts: DeepSense 6G, https://www.deepsense6g.net, scenarios 8, 9 (testbed 1) and 31 to 34
(testbed 5), as used by public code.

Shape suffixes in this file: M = antennas, N = samples of a chirp,
C = chirps, K = angles, R = rays, P = points, F = frames.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.matlab import find_variable, read_array
from kdtasks.data.numpy_arrays import mapped
from kdtasks.data.reading import damage_named
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_RAYS
from kdtasks.sensing.beams.radar_maps import (
    NUM_ANGLES,
    NUM_ANTENNAS,
    NUM_CHIRPS,
    NUM_SAMPLES,
    stacked_maps,
)
from kdtasks.sensing.deepsense.pictures import probe_image

KEY = "data"
"""Variable in the MATLAB files."""

MAX_CHIRPS = 1024
"""Longest radar frame that is read [chirps]; scenarios 31 to 34 have 250."""

MAX_TEXT_BYTES, MAX_CLOUD_BYTES = 64 * 2**10, 64 * 2**20
"""Largest text file and largest point cloud that are read [bytes]."""

CLOUD_BAND_M, CLOUD_NEAREST_M = 0.5, 0.5
"""Of a point cloud, what counts for a planar scan: height from the sensor, nearest range [m]."""

WGS84_AXIS_M, WGS84_ECCENTRICITY2 = 6378137.0, 6.69437999014e-3
"""Equatorial radius [m] and squared first eccentricity of the ellipsoid that GPS refers to."""


def read_power(path: Path) -> NDArray[np.float32]:
    """Return the linear power of each beam, shape [64]; NaN where the file has NaN."""
    power_B = np.array(_numbers(path), np.float64)
    if len(power_B) != NUM_BEAMS:
        raise DataError(f"{path}: {len(power_B)} numbers, expected the powers of {NUM_BEAMS} beams")
    if np.isinf(power_B).any():
        raise DataError(f"{path}: infinite power of beam {int(np.isinf(power_B).argmax())}")
    return power_B.astype(np.float32)


def read_position(path: Path) -> tuple[float, float]:
    """Return latitude and longitude [degrees] of a GPS file."""
    numbers = _numbers(path)
    if len(numbers) < 2 or not (abs(numbers[0]) <= 90.0 and abs(numbers[1]) <= 180.0):
        raise DataError(f"{path}: expected latitude and longitude in degrees")
    return numbers[0], numbers[1]


def to_metres(
    position_F2: NDArray[np.float64], base_F2: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return positions relative to a base station, east and north [m], shape [F, 2].

    On the plane that touches the WGS84 ellipsoid there; over 1 km it is 0.1 m off at most.

    Args:
        position_F2: Latitudes and longitudes [degrees].
        base_F2: Those of the base station.
    """
    latitude_F, longitude_F = np.radians(base_F2).T
    north_F, east_F = np.radians(position_F2).T - np.stack([latitude_F, longitude_F])
    bend_F = 1.0 - WGS84_ECCENTRICITY2 * np.sin(latitude_F) ** 2
    across_F = WGS84_AXIS_M / np.sqrt(bend_F)
    along_F = across_F * (1.0 - WGS84_ECCENTRICITY2) / bend_F
    metres = [east_F * across_F * np.cos(latitude_F), north_F * along_F]
    return np.stack(metres, axis=-1).astype(np.float32)


def doppler_file(path: Path) -> Path | None:
    """Return where the Doppler-angle map is that belongs to a range-angle map, by its name."""
    if path.suffix.lower() != ".npy" or "_RA" not in path.name:
        return None
    folder = path.parent.with_name(path.parent.name.replace("_RA", "_DA"))
    return folder / path.name.replace("_RA", "_DA")


def read_radar(path: Path) -> NDArray[np.float16]:
    """Return range-angle and Doppler-angle map of a frame, shape [2, 128, 64].

    The file holds a cube, ``.mat`` with key ``data`` or ``.npy``, or the range-angle map of one
    beside which the Doppler-angle map lies. Of more than 128 chirps the first 128 count.
    """
    doppler = doppler_file(path)
    if doppler is not None:
        return np.stack([_map(path), _map(doppler)])
    if path.suffix.lower() == ".mat":
        shape = probe_radar(path)
        cube = read_array(path, find_variable(path, KEY, num_axes=len(shape)), np.complex64)
    else:
        probe_radar(path)
        cube = _array(path).astype(np.complex64)
    if not np.isfinite(cube.view(np.float32)).all():
        raise DataError(f"{path}: NaN or infinite samples")
    return stacked_maps(cube[..., :NUM_CHIRPS])


def probe_radar(path: Path) -> tuple[int, ...]:
    """Return the shape of what a radar file holds, from its header.

    Raises:
        DataError: If `read_radar` could not use it.
    """
    doppler = doppler_file(path)
    if doppler is not None:
        _map_shape(doppler)
        return _map_shape(path)
    if path.suffix.lower() == ".mat":
        shape = find_variable(path, KEY, num_axes=3).shape
    else:
        array = _array(path)
        shape = array.shape
        if not np.iscomplexobj(array):
            raise DataError(f"{path}: radar cube of {array.dtype}, expected complex numbers")
    wanted = (NUM_ANTENNAS, NUM_SAMPLES)
    if len(shape) != 3 or shape[:2] != wanted or not NUM_CHIRPS <= shape[2] <= MAX_CHIRPS:
        raise DataError(
            f"{path}: radar cube of shape {shape}, expected {NUM_ANTENNAS} antennas x "
            f"{NUM_SAMPLES} samples x {NUM_CHIRPS} chirps or more"
        )
    return shape


def _map_shape(path: Path) -> tuple[int, ...]:
    array = _array(path)
    if (
        array.ndim != 2
        or array.shape[1] != NUM_ANGLES
        or array.shape[0] not in (NUM_CHIRPS, NUM_SAMPLES)
        or array.dtype.kind != "f"
    ):
        raise DataError(
            f"{path}: radar map of shape {array.shape} and {array.dtype}, expected "
            f"{NUM_CHIRPS} x {NUM_ANGLES} real numbers"
        )
    return array.shape


def _map(path: Path) -> NDArray[np.float16]:
    _map_shape(path)
    values = np.asarray(_array(path)[:NUM_CHIRPS]).astype(np.float16)
    if not np.isfinite(values).all():
        raise DataError(f"{path}: NaN or infinite values")
    return values


def _array(path: Path) -> NDArray[Any]:
    """Open a ``.npy`` file without reading its values."""
    with damage_named(path):
        array: NDArray[Any] = mapped(path)
    return array


def read_lidar(path: Path) -> NDArray[np.float32]:
    """Return a planar scan, ranges [m], shape [216], 0 where nothing returned.

    From ``.mat``, 216 x 2 with ranges in the first column, or from an ASCII ``.ply`` cloud.
    """
    if path.suffix.lower() == ".ply":
        return planar_scan(_cloud(path))
    probe_lidar(path)
    range_R = read_array(path, find_variable(path, KEY, num_axes=2), np.float32)[:, 0]
    range_R = np.where(np.isposinf(range_R), np.float32(0.0), range_R)
    if not (range_R >= 0.0).all():
        ray = int((~(range_R >= 0.0)).argmax())
        raise DataError(f"{path}: range {range_R[ray]} of ray {ray}, expected 0 or more")
    return range_R.astype(np.float32)


def probe_lidar(path: Path) -> None:
    """Raise what `read_lidar` would, as far as the header of the file tells."""
    if path.suffix.lower() == ".ply":
        _cloud_header(path)
        return
    shape = find_variable(path, KEY, num_axes=2).shape
    if shape != (NUM_RAYS, 2):
        raise DataError(f"{path}: scan of shape {shape}, expected {NUM_RAYS} x 2")


def planar_scan(cloud_P3: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the nearest range along 216 rays over the front half, 0 where there is none.

    The sensor looks along -x, and rays go from its right, +y, to its left, as those of the street
    twin do. Points within half a metre of the sensor's height count.
    """
    x_P, y_P, z_P = cloud_P3.T
    range_P = np.hypot(x_P, y_P)
    kept_P = (np.abs(z_P) <= CLOUD_BAND_M) & (range_P >= CLOUD_NEAREST_M) & (x_P <= 0.0)
    bearing_P = np.arctan2(np.abs(x_P[kept_P]), y_P[kept_P])
    ray_P = np.rint(bearing_P * ((NUM_RAYS - 1) / np.pi)).astype(np.int64)
    range_R = np.full(NUM_RAYS, np.inf)
    np.minimum.at(range_R, ray_P, range_P[kept_P])
    return np.where(np.isinf(range_R), 0.0, range_R).astype(np.float32)


def _cloud(path: Path) -> NDArray[np.float64]:
    start, count, names = _cloud_header(path)
    if 2 * count * len(names) > path.stat().st_size:  # a digit and a blank each
        raise DataError(
            f"{path}: its header announces {count} points, more than the file has room for"
        )
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty lines
            file.seek(start)
            table = np.loadtxt(file, ndmin=2, max_rows=count, comments=None)
        cloud_P3 = table[:, [names.index(axis) for axis in "xyz"]]
    except (ValueError, IndexError) as error:  # whose message would quote the file
        raise DataError(f"{path}: points are not {len(names)} numbers each") from error
    if len(cloud_P3) < count:
        raise DataError(f"{path}: {len(cloud_P3)} points, but its header announces {count}")
    return cloud_P3[np.isfinite(cloud_P3).all(axis=1)]


def _cloud_header(path: Path) -> tuple[int, int, list[str]]:
    """Return where the points start [bytes], how many there are and what each consists of."""
    _check_size(path, MAX_CLOUD_BYTES)
    head, end, rest = _bytes(path, MAX_TEXT_BYTES).partition(b"end_header")
    start = len(head) + len(end) + rest.find(b"\n") + 1
    words = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    count, names, inside = 0, [], False
    for word in words:
        if word[:1] == ["element"]:
            inside = word[1:2] == ["vertex"]
            counts = inside and len(word) > 2 and word[2].isdecimal() and len(word[2]) < 12
            count = int(word[2]) if counts else count
        elif word[:1] == ["property"] and inside:
            names.append(word[-1])
    if not end or ["format", "ascii", "1.0"] not in words or not count or not {*"xyz"} <= {*names}:
        raise DataError(f"{path}: not an ASCII .ply cloud of points with x, y and z")
    return start, count, names


def _check_size(path: Path, limit: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if size > limit:
        raise DataError(f"{path}: {size} bytes, more than such a file can have ({limit})")


def _bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _numbers(path: Path) -> list[float]:
    _check_size(path, MAX_TEXT_BYTES)
    try:
        text = path.read_text(encoding="utf-8-sig")
        return [float(word) for word in text.replace(",", " ").split()]
    except (OSError, ValueError) as error:  # whose message would quote the file
        raise DataError(f"{path}: not a text file of numbers") from error


PROBES: dict[str, Callable[[Path], object]] = {
    "image": probe_image,
    "radar": probe_radar,
    "lidar": probe_lidar,
    "power": read_power,
    "gps": read_position,
}
"""What looks at a file of a kind without unpacking it; raises `DataError`."""
