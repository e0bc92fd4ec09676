"""MATLAB files, v5 to v7.3: what they hold, and one clear error for each way they can be wrong.

Which of the two formats a file has is read from its header, never from its name: MATLAB writes v5
(compressed or not) unless it is told ``-v7.3``, which is HDF5 behind a 512-byte MATLAB header.

Source: MathWorks, "MAT-File Format", R2023b: header, data elements, and the HDF5 layout of v7.3
(axes in reverse order, complex numbers as a compound of ``real`` and ``imag``).
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from kdtasks.errors import DataError

Version = Literal["5", "7.3"]

HEADER_BYTES = 128
USERBLOCK_BYTES = 512
# The text at the start of a header is free in principle; MATLAB and scipy write these.
_TEXTS = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# v5 element types that may stand at the top level of a file
_MI_MATRIX, _MI_COMPRESSED = 14, 15

BLOCK_BYTES = 32 * 2**20
"""About how much of a v7.3 file is read at once [bytes]."""

# What scipy and h5py raise on damaged bytes; the readers below turn each into one DataError.
_DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    MatReadError,
)

_Number = TypeVar("_Number", np.float32, np.complex64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """One variable of a MATLAB file.

    Attributes:
        name: Its name.
        shape: Its size as MATLAB prints it, so the first axis varies fastest on disk.
        matlab_class: ``double``, ``single``, ``char``, ``cell``, ``struct``, ``int32``, ...
    """

    name: str
    shape: tuple[int, ...]
    matlab_class: str

    @property
    def is_floating(self) -> bool:
        """Whether it is an array of floating-point numbers, real or complex."""
        return self.matlab_class in ("double", "single")

    def __str__(self) -> str:
        return f"{self.name} ({'x'.join(map(str, self.shape))} {self.matlab_class})"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, for provenance."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def variables(path: Path) -> dict[str, Variable]:
    """Return what a MATLAB file holds, by name, without reading the values.

    Raises:
        DataError: If the file is missing, truncated or no MATLAB file.
    """
    with _damage_named(path):
        found = _variables_v5(path) if _version(path) == "5" else _variables_v73(path)
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
            f"{path}: {key} is of class {variable.matlab_class}, expected single or double; "
            "convert it in MATLAB before saving"
        )
    if len(variable.shape) != num_axes or 0 in variable.shape:
        raise DataError(
            f"{path}: {key} has size {_size(variable.shape)}, expected {num_axes} axes, none empty"
        )
    return variable


def read_array(
    path: Path, variable: Variable, dtype: type[_Number], *, order: Sequence[int] | None = None
) -> NDArray[_Number]:
    """Return the values of one floating-point variable.

    A v7.3 file is read in blocks straight into the result, so that the peak of memory stays near
    the size of the result. A v5 file cannot hold more than 2 GB per variable and is read at once.

    Args:
        path: The file that holds it.
        variable: As returned by :func:`find_variable`.
        dtype: ``np.complex64`` or ``np.float32``; complex and real are never converted into
            each other. Values beyond single precision become infinite.
        order: The MATLAB axes, counted from 0, in the order wanted; None keeps MATLAB's.

    Raises:
        DataError: If the values are real where complex ones are wanted (or the other way round),
            or the file is damaged.
    """
    axes = tuple(range(len(variable.shape))) if order is None else tuple(order)
    read = _read_v5 if _version(path) == "5" else _read_v73
    with _damage_named(path), np.errstate(over="ignore"):
        return read(path, variable, dtype, axes)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(
            f"{path}: may not be read ({error.strerror}); check its access rights"
        ) from error
    except _DAMAGE as error:
        raise DataError(
            f"{path}: damaged or truncated ({error}); copy or export it again"
        ) from error


def _version(path: Path) -> Version:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a MATLAB file (.mat)")
    with path.open("rb") as file:
        start = file.read(USERBLOCK_BYTES + len(HDF5_SIGNATURE))
    mark = start[126:HEADER_BYTES]
    if mark in (b"IM", b"MI"):
        version = struct.unpack("<H" if mark == b"IM" else ">H", start[124:126])[0]
        if version == 0x0100:
            return "5"
        if version == 0x0200:
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
    raise DataError(f"{path}: not a MATLAB v5 or v7.3 file; save it with save(..., '-v7.3')")


def _variables_v5(path: Path) -> list[Variable]:
    _check_complete_v5(path)
    return [
        Variable(name=name, shape=tuple(shape), matlab_class=matlab_class)
        for name, shape, matlab_class in whosmat(path, appendmat=False)
    ]


def _check_complete_v5(path: Path) -> None:
    # scipy reports a cut file in five different ways, and one that misses only its last bytes not
    # at all; the lengths of the top-level elements tell for certain.
    size = path.stat().st_size
    position = HEADER_BYTES
    with path.open("rb") as file:
        order = "<" if file.read(HEADER_BYTES).endswith(b"IM") else ">"
        while position + 8 <= size:
            file.seek(position)
            kind, length = struct.unpack(order + "II", file.read(8))
            if kind not in (_MI_MATRIX, _MI_COMPRESSED):
                raise DataError(
                    f"{path}: damaged: no variable starts at byte {position}; copy it again"
                )
            position += 8 + length
    if position != size or size == HEADER_BYTES:
        raise DataError(
            f"{path}: truncated: it ends after {size} bytes, inside or before a variable; "
            "copy or export it again"
        )


def _read_v5(
    path: Path, variable: Variable, dtype: type[_Number], order: tuple[int, ...]
) -> NDArray[_Number]:
    # mat_dtype stays off: MATLAB stores doubles that hold small integers as integers, and the
    # conversion to `dtype` below undoes that together with everything else.
    values = loadmat(path, appendmat=False, variable_names=[variable.name])[variable.name]
    _check_complexity(path, variable, np.iscomplexobj(values), dtype)
    return np.ascontiguousarray(values.transpose(order), dtype=dtype)


def _variables_v73(path: Path) -> list[Variable]:
    with h5py.File(path, "r") as file:
        # names that start with # are MATLAB's own: what cells refer to, class definitions
        return [_describe_v73(name, file[name]) for name in file if not name.startswith("#")]


def _describe_v73(name: str, item: "h5py.Dataset | h5py.Group") -> Variable:
    stored = item.attrs.get("MATLAB_class")
    kind = None if stored is None else np.asarray(stored).astype(str).item()
    if isinstance(item, h5py.Group):
        kind = "sparse" if "MATLAB_sparse" in item.attrs else kind or "struct"
        return Variable(name=name, shape=(1, 1), matlab_class=kind)
    # An empty array is stored as the list of its sizes.
    shape = item[()].tolist() if item.attrs.get("MATLAB_empty", 0) else item.shape[::-1]
    return Variable(
        name=name, shape=tuple(map(int, shape)), matlab_class=kind or _class_of(item.dtype)
    )


def _class_of(dtype: np.dtype[Any]) -> str:
    part = dtype["real"] if dtype.names == ("real", "imag") else dtype
    return {"f8": "double", "f4": "single"}.get(part.str[1:], str(part))


def _read_v73(
    path: Path, variable: Variable, dtype: type[_Number], order: tuple[int, ...]
) -> NDArray[_Number]:
    result = np.empty([variable.shape[axis] for axis in order], dtype)
    with h5py.File(path, "r") as file:
        stored = file[variable.name]
        is_complex = stored.dtype.names == ("real", "imag")
        _check_complexity(path, variable, is_complex, dtype)
        # A view of the result whose axes run as in the file: MATLAB's, reversed.
        target = result.transpose(np.argsort(order)).T
        for block in _blocks_v73(stored):
            if is_complex:
                _copy_complex(stored[block], target[block])
            else:
                target[block] = stored[block]
    return result


def _copy_complex(values: NDArray[Any], target: NDArray[Any]) -> None:
    target.real[...] = values["real"]
    target.imag[...] = values["imag"]


def _blocks_v73(stored: "h5py.Dataset") -> Iterator[tuple[slice, ...]]:
    # Whole layers of chunks along the axis that has most layers: no chunk is unpacked twice.
    layer = stored.chunks or (1, *stored.shape[1:])
    axis = int(np.argmax([-(-n // step) for n, step in zip(stored.shape, layer, strict=True)]))
    layer_bytes = stored.nbytes * layer[axis] // stored.shape[axis]
    step = layer[axis] * max(1, BLOCK_BYTES // max(1, layer_bytes))
    for start in range(0, stored.shape[axis], step):
        block = [slice(None)] * stored.ndim
        block[axis] = slice(start, start + step)
        yield tuple(block)


def _check_complexity(
    path: Path, variable: Variable, is_complex: bool, dtype: type[_Number]
) -> None:
    wanted = np.issubdtype(dtype, np.complexfloating)
    if wanted and not is_complex:
        raise DataError(
            f"{path}: {variable.name} is real, expected complex numbers; "
            "save it with complex(...) in MATLAB"
        )
    if is_complex and not wanted:
        raise DataError(
            f"{path}: {variable.name} is complex, expected real numbers; "
            "save its real and imaginary parts side by side"
        )
