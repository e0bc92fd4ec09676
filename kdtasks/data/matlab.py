"""MATLAB files, v5 to v7.3: what they hold, and one clear error for each way they can be wrong.

Which of the two formats a file has is read from its header, never from its name: MATLAB writes v5
(compressed or not) unless it is given ``-v7.3``, which is HDF5 behind a 512-byte MATLAB header.

Source: MathWorks, "MAT-File Format", R2023b: header.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data import hdf5_arrays
from kdtasks.data import matlab5 as mat5
from kdtasks.data.reading import check_size, damage_named
from kdtasks.data.stored_arrays import Read, Variable

Version = Literal["5", "7.3"]

HEADER_BYTES = mat5.HEADER_BYTES
USERBLOCK_BYTES = 512
# The text at the start of a header is free in principle; MATLAB and scipy write these.
_TEXTS = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

SAVE = "save it with save(..., '-v7') in MATLAB or Octave, '-v7.3' for 2 GB and more in MATLAB"

_Number = TypeVar("_Number", np.float32, np.complex64)


def variables(path: Path) -> dict[str, Variable]:
    """Return what a MATLAB file holds, by name, without reading the values.

    Raises:
        DataError: If the file is missing, truncated or no MATLAB file.
    """
    with damage_named(path):
        if version(path) == "5":
            found = mat5.variables(path)
        else:
            found = hdf5_arrays.variables(path, matlab=True)
    return {variable.name: variable for variable in found}


def find_variable(path: Path, key: str | None, *, num_axes: int) -> Variable:
    """Return the floating-point variable ``key`` of a file.

    Args:
        path: A MATLAB file, v5 or v7.3.
        key: Its name; None takes the only floating-point variable that has ``num_axes`` axes.
        num_axes: Number of axes that it must have.

    Raises:
        DataError: If there is no such variable, or it is no floating-point array of that rank.
    """
    found = variables(path)
    there = ", ".join(str(variable) for variable in found.values()) or "nothing"
    if key is None:
        fitting = [v for v in found.values() if v.is_floating and len(v.shape) == num_axes]
        if len(fitting) != 1:
            raise DataError(
                f"{path}: {len(fitting)} floating-point arrays with {num_axes} axes, so the key "
                f"must be given; the file holds {there}"
            )
        return fitting[0]
    if key not in found:
        raise DataError(f"{path}: no variable {key!r}; the file holds {there}")
    variable = found[key]
    if not variable.is_floating:
        raise DataError(
            f"{path}: {key} is of class {variable.kind}, expected single or double; "
            "convert it in MATLAB before saving"
        )
    if len(variable.shape) != num_axes or 0 in variable.shape:
        raise DataError(
            f"{path}: {key} has size {_size(variable.shape)}, expected {num_axes} axes, none empty"
        )
    return variable


def read_array(path: Path, variable: Variable, dtype: type[_Number]) -> NDArray[_Number]:
    """Return the values of one floating-point variable.

    A v7.3 file is read in blocks straight into the result, so that the peak of memory stays near
    the size of the result. A v5 file cannot hold more than 2 GB per variable and is read at once.

    Args:
        path: The file that holds it.
        variable: As returned by :func:`find_variable`.
        dtype: ``np.complex64`` or ``np.float32``; complex and real are never converted into
            each other. Values beyond single precision become infinite.

    Raises:
        DataError: If the values are real where complex ones are wanted (or the other way round),
            or the file is damaged.
    """
    _check_complexity(path, variable, dtype)
    with damage_named(path), np.errstate(over="ignore"):
        if version(path) == "5":
            return np.ascontiguousarray(mat5.reader(path, variable.name)((...,)), dtype=dtype)
        wanted = math.prod(variable.shape) * np.dtype(dtype).itemsize
        check_size(f"{path}: {variable}", wanted, path.stat().st_size)
        result = np.empty(variable.shape, dtype)
        hdf5_arrays.fill_matlab(path, variable.name, result)
    return result


@contextmanager
def reader(path: Path, name: str) -> Iterator[Read]:
    """Yield what reads parts of a variable of numbers."""
    if version(path) == "5":
        yield mat5.reader(path, name)
    else:
        with hdf5_arrays.reader(path, name, matlab=True) as read:
            yield read


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def version(path: Path) -> Version:
    """Return which of the two formats a file has.

    Raises:
        DataError: If it has neither.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a MATLAB file (.mat)")
    with path.open("rb") as file:
        start = file.read(USERBLOCK_BYTES + len(HDF5_SIGNATURE))
    mark = start[126:HEADER_BYTES]
    if mark in (b"IM", b"MI"):
        number = struct.unpack("<H" if mark == b"IM" else ">H", start[124:126])[0]
        if number == 0x0100:
            return "5"
        if number == 0x0200:
            if not start.endswith(HDF5_SIGNATURE):
                raise DataError(
                    f"{path}: truncated or damaged: the HDF5 part of a MATLAB 7.3 file is missing; "
                    "copy or export it again"
                )
            return "7.3"
    if len(start) < HEADER_BYTES and any(start.startswith(t[: len(start)]) for t in _TEXTS):
        raise DataError(
            f"{path}: truncated: only {len(start)} bytes, less than the header of a MATLAB file; "
            "copy or export it again"
        )
    if _is_v4(start):
        raise DataError(f"{path}: a MATLAB v4 file; {SAVE}")
    raise DataError(f"{path}: not a MATLAB v5 or v7.3 file; {SAVE}")


def _is_v4(start: bytes) -> bool:
    """Return whether a file starts as v4: type, rows, columns, imaginary part, length of a name."""
    for order in "<>":
        if len(start) >= 20:
            kind, rows, columns, imaginary, name = struct.unpack_from(f"{order}5I", start)
            machine, rest = divmod(kind, 1000)
            known = machine in (0, 1) and rest < 60 and rest % 10 < 3 and imaginary in (0, 1)
            if known and rows and columns and 1 < name <= 64:
                return True
    return False


def _check_complexity(path: Path, variable: Variable, dtype: type[_Number]) -> None:
    wanted = np.issubdtype(dtype, np.complexfloating)
    if wanted and not variable.is_complex:
        raise DataError(
            f"{path}: {variable.name} is real, expected complex numbers; "
            "save it with complex(...) in MATLAB"
        )
    if variable.is_complex and not wanted:
        raise DataError(
            f"{path}: {variable.name} is complex, expected real numbers; "
            "save its real and imaginary parts side by side"
        )
