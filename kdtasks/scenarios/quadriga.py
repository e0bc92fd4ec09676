"""Reader of channel matrices exported from QuaDRiGa, or from any other program, by MATLAB."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdtasks.errors import DataError
from kdtasks.scenarios.checks import check_finite, check_power
from kdtasks.scenarios.matlab import find_variable, read_array

AXES = ("user", "antenna", "subcarrier")
"""The axes of the result, in its order."""

SINGLE = "single"
"""Name of an axis of length 1, which is dropped: the one antenna of a user."""


def read_quadriga(
    path: Path, *, key: str | None = None, axes: str = "user antenna subcarrier"
) -> NDArray[np.complex64]:
    """Read complex spatial-frequency channels from a MATLAB file.

    Example: ``channel.fr(bandwidth, num_subcarriers)`` of QuaDRiGa gives an array of size
    [1, antennas, subcarriers, snapshots] for users with one antenna; saved as ``H`` it is read by
    ``read_quadriga(path, key="H", axes="single antenna subcarrier user")``.

    Args:
        path: A MATLAB file, v5 or v7.3.
        key: Name of its variable; None takes the only one that has so many axes.
        axes: What each axis counts, in MATLAB's order: user, antenna and subcarrier once each, and
            ``single`` for axes of length 1.

    Returns:
        Channels, shape [num_users, num_antennas, num_subcarriers], in the file's own unit.

    Raises:
        DataError: If the file is missing, damaged or no MATLAB file; if ``axes`` names other axes;
            if the variable is missing, is not complex floating point, does not have these axes,
            or holds NaN, infinity or users without power.
    """
    names = axis_names(path, axes)
    variable = find_variable(path, key, num_axes=len(names))
    order = axis_order(path, names, variable.shape)
    channels = read_array(path, variable, np.complex64, order=order)
    channels = channels.reshape(channels.shape[: len(AXES)])
    where = f"{path}: {variable.name}"
    check_finite(channels, where=where, axes=AXES)
    check_power(channels, where=where)
    return channels


def axis_names(path: Path, axes: str) -> list[str]:
    """Return the axes of a file, in its order.

    Args:
        path: The file, for the error.
        axes: See `read_quadriga`.

    Raises:
        DataError: If one of `AXES` is missing, there twice, or there is another one.
    """
    names = axes.split()
    if sorted(name for name in names if name != SINGLE) != sorted(AXES):
        raise DataError(
            f"{path}: axes {axes!r} must name {', '.join(AXES)} once each, "
            f"and {SINGLE!r} for each axis of length 1"
        )
    return names


def axis_order(path: Path, names: Sequence[str], shape: Sequence[int]) -> list[int]:
    """Return a file's axes in the order of `AXES`, those of length 1 at the end.

    Args:
        path: The file, for the error.
        names: What its axes count.
        shape: Their lengths.

    Raises:
        DataError: If an axis that should be of length 1 is longer.
    """
    singles = [i for i, name in enumerate(names) if name == SINGLE]
    wide = [i for i in singles if shape[i] != 1]
    if wide:
        raise DataError(
            f"{path}: axis {wide[0] + 1} of {len(shape)} is called {SINGLE!r} in axes "
            f"{' '.join(names)!r} but is {shape[wide[0]]} long; name the axes in the file's order"
        )
    return [names.index(name) for name in AXES] + singles
