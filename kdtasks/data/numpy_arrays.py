"""Arrays in files of NumPy: ``.npy``, mapped, and ``.npz``, mapped where it is not compressed.

Nothing here unpickles: an array of Python objects is named and never opened.
"""

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import check_size
from kdtasks.data.stored_arrays import Read, Variable, described, joined

MOST_HEADER_BYTES = 10_000
"""Of an array; NumPy reads no longer one."""

_SUFFIX = ".npy"
# a local header of ZIP; the lengths of name and extra field stand in its last four bytes
_LOCAL_HEADER_BYTES = 30


def variables(path: Path) -> list[Variable]:
    """Return what a file holds."""
    if not _archived(path):
        with path.open("rb") as file:
            return [_described(path, "", file, path.stat().st_size)]
    found = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(_SUFFIX):
                name = info.filename.removesuffix(_SUFFIX)
                _check_packed(path, info)
                with archive.open(info) as member:
                    found.append(_described(path, name, member, info.file_size))
    return found


def _archived(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _described(path: Path, name: str, file: IO[bytes], end: int) -> Variable:
    shape, _, dtype = _header(file)
    if not dtype.hasobject:
        _check_bytes(path, shape, dtype, end - file.tell())
    return described(name, shape, dtype)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    size = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(size, "little")
    if length > MOST_HEADER_BYTES:  # before it is read, for a member of an archive may unpack it
        raise ValueError(f"a header of {length} bytes")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(io.BytesIO(size + file.read(length)))
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    return shape, fortran, dtype


def mapped(path: Path) -> Any:
    """Return the array of a ``.npy`` file, of which nothing is read yet."""
    with path.open("rb") as file:
        if _header(file)[2].hasobject:
            raise ValueError("Python objects, which are never opened")
        file.seek(0)
        return _mapped(path, file, path.stat().st_size)


@contextmanager
def reader(path: Path, name: str) -> Iterator[Read]:
    """Yield what reads parts of an array.

    Raises:
        DataError: If the file holds fewer values than it declares.
    """
    with path.open("rb") as file:
        if not _archived(path):
            values = _mapped(path, file, path.stat().st_size)
        else:
            with zipfile.ZipFile(file) as archive:
                values = _member(path, archive, archive.getinfo(name + _SUFFIX), file)
    yield lambda index: joined(values[index])


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: IO[bytes]) -> Any:
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        file.seek(info.header_offset)
        lengths = struct.unpack_from("<HH", file.read(_LOCAL_HEADER_BYTES), _LOCAL_HEADER_BYTES - 4)
        file.seek(sum(lengths), 1)
        return _mapped(path, file, file.tell() + info.file_size)
    with archive.open(info) as member:
        shape, _, dtype = _header(member)
        _check_bytes(path, shape, dtype, info.file_size - member.tell())
        check_size(f"{path}: {info.filename}", info.file_size, info.compress_size)
    with archive.open(info) as member:
        return npy.read_array(member, allow_pickle=False)


def _check_packed(path: Path, info: zipfile.ZipInfo) -> None:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{path}: {info.filename} is packed with method {info.compress_type}, "
            "which NumPy never does; save it anew"
        )


def _mapped(path: Path, file: IO[bytes], end: int) -> Any:
    shape, fortran, dtype = _header(file)
    _check_bytes(path, shape, dtype, end - file.tell())
    order: Any = "F" if fortran else "C"
    if 0 in shape:
        return np.empty(shape, dtype, order)
    return np.memmap(path, dtype, "r", file.tell(), shape, order)


def _check_bytes(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], there: int) -> None:
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > there:
        raise DataError(
            f"{path}: truncated: {list(shape)} of {dtype} are {wanted} bytes, and {there} are "
            "there; save it anew"
        )
