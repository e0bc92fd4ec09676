"""Channels in files of the user's own: one file of NumPy or MATLAB, or a folder of such files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdtasks.errors import DataError
from kdtasks.scenarios.checks import check_finite, check_power
from kdtasks.scenarios.matlab import variables
from kdtasks.scenarios.quadriga import AXES, axis_names, axis_order, read_quadriga

NUMPY = ".npy"
SUFFIXES = (NUMPY, ".mat")


def channel_files(path: Path) -> list[Path]:
    """Return the files of channels at a path, in the order in which they are read: by name."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    return [path]


def read_channels(path: Path, *, key: str | None, axes: str) -> NDArray[np.complex64]:
    """Read complex channels over antennas and subcarriers.

    Args:
        path: A MATLAB file, a file of NumPy, or a folder with some of them, which are put together
            in the order of their names.
        key: Name of the variable in MATLAB files, see `read_quadriga`.
        axes: What each axis counts, see `read_quadriga`.

    Returns:
        Channels, shape [num_users, num_antennas, num_subcarriers], in the files' own unit.

    Raises:
        DataError: If files are missing, damaged, do not fit each other or hold no such channels.
    """
    files = channel_files(path)
    if not files:
        raise DataError(f"{path}: no file ends in {' or '.join(SUFFIXES)}")
    parts = [
        _read_numpy(file, axes) if file.suffix == NUMPY else read_quadriga(file, key=key, axes=axes)
        for file in files
    ]
    for file, part in zip(files, parts, strict=True):
        if part.shape[1:] != parts[0].shape[1:]:
            raise DataError(
                f"{file}: {part.shape[1]} antennas and {part.shape[2]} subcarriers, but "
                f"{files[0].name} has {parts[0].shape[1]} and {parts[0].shape[2]}; one folder "
                "holds one kind of channels"
            )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def channel_sizes(path: Path) -> tuple[int, int] | None:
    """Return antennas and subcarriers, if users are the first axis of the one array of three.

    Raises:
        DataError: If the first file is missing or damaged.
    """
    file = channel_files(path)[0]
    if file.suffix == NUMPY:
        shapes = [_opened(file).shape]
    else:
        shapes = [found.shape for found in variables(file).values()]
    shapes = [shape for shape in shapes if len(shape) == len(AXES)]
    return None if len(shapes) != 1 else (shapes[0][1], shapes[0][2])


def _opened(path: Path) -> NDArray[np.complex64]:
    try:
        array: NDArray[np.complex64] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no readable file of NumPy ({error}); save it anew") from error
    return array


def _read_numpy(path: Path, axes: str) -> NDArray[np.complex64]:
    names, array = axis_names(path, axes), _opened(path)
    if array.dtype.kind != "c" or array.ndim != len(names):
        raise DataError(
            f"{path}: {array.dtype} of shape {list(array.shape)}; channels are complex, with the "
            f"axes {axes!r}"
        )
    order = axis_order(path, names, array.shape)
    channels = np.array(array.transpose(order), np.complex64, order="C")
    channels = channels.reshape(channels.shape[: len(AXES)])
    check_finite(channels, where=str(path), axes=AXES)
    check_power(channels, where=str(path))
    return channels
