"""Variables of MATLAB v5 files, of either byte order, compressed or not.

scipy reads such files whole, and none that holds a ``string``, ``table`` or other object beside the
numbers. Here every variable stands for itself, and what is stored uncompressed is mapped.

Source: MathWorks, "MAT-File Format", R2023b: header, data elements, array flags, subelements.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import check_size
from kdtasks.data.stored_arrays import Index, Read, Variable, as_complex

HEADER_BYTES = 128
_MI_INT32, _MI_UINT32, _MI_MATRIX, _MI_COMPRESSED = 5, 6, 14, 15
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CLASSES = {
    1: "cell",
    2: "struct",
    3: "object",
    4: "char",
    5: "sparse",
    6: "double",
    7: "single",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
    16: "function",
    17: "object",
}
_NUMERIC, _OPAQUE = range(6, 16), 17
_LOGICAL, _COMPLEX = 2, 8
MOST_AXES, MOST_NAME_BYTES = 32, 1024
"""NumPy and MATLAB have no more axes, and names of 63 letters."""

# flags, up to 32 axes and a name of up to 63 letters are within these
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Body:
    """What stands in a variable, behind its tag."""

    data: Any
    order: str

    def element(self, place: int) -> tuple[int, int, int, int]:
        """Return type, start and length of an element, and where the next one is."""
        kind, length = struct.unpack_from(f"{self.order}II", self.data, place)
        if kind >> 16:  # up to 4 bytes stand in the tag itself
            return kind & 0xFFFF, place + 4, kind >> 16, place + 8
        return kind, place + 8, length, place + 8 + -(-length // 8) * 8


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a variable is in its file."""

    start: int
    length: int
    order: str
    packed: bool


def variables(path: Path) -> list[Variable]:
    """Return what a file holds.

    Raises:
        DataError: If it is truncated or damaged.
    """
    return [head[0] for head in _heads(path)]


def reader(path: Path, name: str) -> Read:
    """Return what reads parts of a variable of numbers.

    Raises:
        DataError: If it has fewer values than its size.
    """
    variable, place, values_at = next(head[:3] for head in _heads(path) if head[0].name == name)
    wanted = 8 * (1 + variable.is_complex) * math.prod(variable.shape)
    check_size(f"{path}: {variable}", wanted, place.length)
    body = _body(path, place, 32 * math.prod(variable.shape) + _HEAD_BYTES)
    parts = []
    for _ in range(1 + variable.is_complex):
        kind, start, length, values_at = body.element(values_at)
        dtype = np.dtype(body.order + _NUMBERS[kind])
        count = math.prod(variable.shape)
        if length != count * dtype.itemsize or start + length > len(body.data):
            raise DataError(
                f"{path}: {variable} is damaged: its size and its {length} bytes of values do not "
                "fit each other; copy or export it again"
            )
        flat = np.frombuffer(body.data, dtype, count, start)
        parts.append(flat.reshape(variable.shape, order="F"))

    def read(index: Index) -> NDArray[Any]:
        chosen = [part[index] for part in parts]
        return as_complex(*chosen) if variable.is_complex else chosen[0]

    return read


def _heads(path: Path) -> Iterator[tuple[Variable, _Place, int]]:
    for place in _places(path):
        body = _body(path, place, _HEAD_BYTES)
        variable, values_at = _head(path, body)
        # a value takes a byte or more, and deflate packs 1032 of them into one at best
        most = place.length * (1032 if place.packed else 1)
        if variable.is_number and math.prod(variable.shape) > most:
            raise DataError(f"{path}: {variable} is damaged: larger than the file; copy it again")
        if variable.name:  # MATLAB keeps the values of its objects in one without a name
            yield variable, place, values_at


def _head(path: Path, body: _Body) -> tuple[Variable, int]:
    kind, start, length, place = body.element(0)
    if (kind, length) != (_MI_UINT32, 8):
        raise DataError(f"{path}: damaged: a variable without flags; copy or export it again")
    (flags,) = struct.unpack_from(f"{body.order}I", body.data, start)
    number, bits = flags & 0xFF, flags >> 8
    shape: tuple[int, ...] = (1, 1)
    kind, start, length, after = body.element(place)
    if kind == _MI_INT32 and length <= 4 * MOST_AXES:  # objects may have no sizes
        shape = struct.unpack_from(f"{body.order}{length // 4}i", body.data, start)
        _, start, length, after = body.element(after)
    elif number != _OPAQUE:
        raise DataError(f"{path}: damaged: a variable without sizes; copy or export it again")
    if min(shape) < 0:
        raise DataError(f"{path}: damaged: a variable of size {shape}; copy or export it again")
    length = min(length, MOST_NAME_BYTES)
    return Variable(
        name=bytes(body.data[start : start + length]).decode("utf-8", "replace"),
        shape=tuple(shape),
        kind="logical" if bits & _LOGICAL else _CLASSES.get(number, f"class {number}"),
        is_complex=bool(bits & _COMPLEX) and number in _NUMERIC,
        is_number=number in _NUMERIC and not bits & _LOGICAL,
    ), after


def _body(path: Path, place: _Place, most: int) -> _Body:
    """Return a variable, or its first bytes if it has to be unpacked."""
    if not place.packed:
        mapped = np.memmap(path, np.uint8, "r", place.start, (place.length,))
        return _Body(mapped, place.order)
    with path.open("rb") as file:
        file.seek(place.start)
        packed = file.read(place.length if most > _HEAD_BYTES else min(place.length, _HEAD_BYTES))
    data = zlib.decompressobj().decompress(packed, most)
    kind, _ = struct.unpack_from(f"{place.order}II", data)
    if kind != _MI_MATRIX:
        raise DataError(f"{path}: damaged: no variable at byte {place.start}; copy it again")
    return _Body(memoryview(data)[8:], place.order)


def _places(path: Path) -> Iterator[_Place]:
    """Yield where variables are; the lengths of elements reveal if a file is cut."""
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
            start, position = position + 8, position + 8 + length
            if position <= size and length:
                yield _Place(start, length, order, kind == _MI_COMPRESSED)
    if position != size or size == HEADER_BYTES:
        raise DataError(
            f"{path}: truncated: it ends after {size} bytes, inside or before a variable; "
            "copy or export it again"
        )
