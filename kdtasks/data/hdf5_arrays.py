"""Arrays in HDF5 files: of MATLAB v7.3, whose axes run backwards, and of h5py and others.

Source: MathWorks, "MAT-File Format", R2023b, the HDF5 layout of v7.3: axes in reverse order,
complex numbers as a compound of ``real`` and ``imag``, the class in an attribute.
"""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import SMALL_BYTES, check_size
from kdtasks.data.stored_arrays import Index, Read, Variable, complex_fields, described, joined

BLOCK_BYTES = 32 * 2**20
"""About how much of a file is read at once [bytes]."""

MOST_ITEMS, MOST_DEEP = 10_000, 100
"""Arrays and groups of a file, and groups within groups, that are inspected."""

_DEFLATE = 1
_PACKING = {_DEFLATE: 1032, 32000: 88}
"""Filters that pack, deflate and LZF, by number: how many bytes at most one of them stands for."""
_PLAIN = (2, 3)
"""Filters that keep the length: shuffle, and the checksum of Fletcher."""

_FLOATS = {"f8": "double", "f4": "single", "c16": "double", "c8": "single"}
_NUMERIC = {
    "double",
    "single",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


def variables(path: Path, *, matlab: bool) -> list[Variable]:
    """Return what a file holds; what is in groups, MATLAB's structs, as ``group/name``."""
    with h5py.File(path, "r") as file:
        found = _walk(file, matlab=matlab)
        # names that start with # are MATLAB's own: what cells refer to, class definitions
        return [variable for variable in found if not variable.name.startswith("#")]


def _walk(file: "h5py.File", *, matlab: bool) -> Iterator[Variable]:
    """Yield what is in a file itself; what leads out of it by its name alone."""
    waiting = [("", file)]
    seen = 0
    while waiting:
        prefix, group = waiting.pop()
        inner = []
        for name in group:
            seen += 1
            if seen > MOST_ITEMS or prefix.count("/") > MOST_DEEP:
                raise ValueError(f"more than {MOST_ITEMS} items, or {MOST_DEEP} groups deep")
            link, whole = group.get(name, getlink=True), prefix + name
            if not isinstance(link, h5py.HardLink):
                kind = "external link" if isinstance(link, h5py.ExternalLink) else "soft link"
                yield Variable(name=whole, shape=(), kind=kind)
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                inner.append((f"{whole}/", item))
            yield from _described(whole, item, matlab=matlab)
        waiting += reversed(inner)


def _described(name: str, item: Any, *, matlab: bool) -> Iterator[Variable]:
    if isinstance(item, h5py.Dataset) and (refused := _refusal(item)):
        yield Variable(name=name, shape=item.shape or (), kind=refused)
    elif isinstance(item, h5py.Dataset):
        yield _of_matlab(name, item) if matlab else _plain(name, item)
    elif isinstance(item, h5py.Datatype):
        yield Variable(name=name, shape=(), kind="named datatype")
    elif matlab and "MATLAB_class" in item.attrs:
        yield _of_matlab(name, item)


def _refusal(item: "h5py.Dataset") -> str:
    """Return what keeps an array from being read; empty if nothing does.

    Values in other files may be private. Filters that may unpack any length are not needed.
    """
    if item.is_virtual:
        return "virtual dataset"
    if item.external:
        return "external storage"
    plan = item.id.get_create_plist()
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    others = [code for code in filters if code not in (*_PACKING, *_PLAIN)]
    if others or sum(code in _PACKING for code in filters) > 1:
        return f"array with filters {', '.join(map(str, others or filters))}"
    return ""


def _plain(name: str, item: "h5py.Dataset") -> Variable:
    return replace(described(name, item.shape or (), item.dtype), chunks=item.chunks)


def _of_matlab(name: str, item: "h5py.Dataset | h5py.Group") -> Variable:
    stored = item.attrs.get("MATLAB_class")
    kind = None if stored is None else np.asarray(stored).astype(str).item()
    if isinstance(item, h5py.Group):
        kind = "sparse" if "MATLAB_sparse" in item.attrs else kind or "struct"
        return Variable(name=name, shape=(1, 1), kind=kind)
    # An empty array is stored as the list of its sizes.
    empty = item.attrs.get("MATLAB_empty", 0)
    if empty and (item.size or 0) > MOST_DEEP:
        raise ValueError(f"{name} has {item.size} axes")
    shape = item[()].tolist() if empty else (item.shape or ())[::-1]
    kind = kind or _class_of(item.dtype)
    return Variable(
        name=name,
        shape=tuple(map(int, shape)),
        kind=kind,
        is_complex=item.dtype.kind == "c" or complex_fields(item.dtype) is not None,
        is_number=kind in _NUMERIC and not empty,
        chunks=item.chunks and item.chunks[::-1],
    )


def _class_of(dtype: np.dtype[Any]) -> str:
    fields = complex_fields(dtype)
    part = dtype if fields is None else dtype[fields[0]]
    return _FLOATS.get(part.str[1:], str(part))


@contextmanager
def reader(path: Path, name: str, *, matlab: bool) -> Iterator[Read]:
    """Yield what reads parts of an array.

    Raises:
        DataError: If the file declares it, but holds none of its values.
    """
    with _opened(path, name) as (stored, check):

        def read(index: Index) -> NDArray[Any]:
            check(index[::-1] if matlab else index)
            return joined(stored[index[::-1]].T if matlab else stored[index])

        yield read


def fill_matlab(path: Path, name: str, result: NDArray[Any]) -> None:
    """Read a variable of MATLAB in blocks straight into ``result``."""
    with _opened(path, name) as (stored, check):
        for block in _blocks(stored):
            check(block)
            result.T[block] = joined(stored[block])


@contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple["h5py.Dataset", Callable[[Index], None]]]:
    """Yield an array, and what checks the chunks of a part of it before that is read."""
    with h5py.File(path, "r") as file:
        stored = file[name]
        if refused := _refusal(stored):
            raise DataError(f"{path}: {name}: {refused}, which is not read; export it again")
        there = stored.id.get_storage_size()
        if stored.size and not there:
            raise DataError(f"{path}: {name} was declared, but never written; export it again")
        where = f"{path}: {name}"
        yield stored, _Chunks(where, stored).check if stored.chunks else lambda _index: None


class _Chunks:
    """Refuses chunks that unpack to more than they declare, before HDF5 unpacks them.

    HDF5 unpacks a chunk to its end, however long it is, and always as a whole. Only large packed
    ones have to be inspected: deflate packs 1032 bytes into one at best, LZF 88.

    Args:
        where: File and array.
        stored: The array, in chunks.
    """

    def __init__(self, where: str, stored: "h5py.Dataset") -> None:
        self._where, self._stored = where, stored
        self._size = math.prod(stored.chunks) * stored.dtype.itemsize
        plan = stored.id.get_create_plist()
        codes = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
        packing = [code for code in codes if code in _PACKING]
        self._place = codes.index(packing[0]) if packing else -1
        self._ratio = _PACKING[packing[0]] if packing else 0
        self._large: dict[tuple[int, ...], Any] = {}
        stored.id.chunk_iter(self._look)
        if self._large and packing[0] != _DEFLATE:
            raise DataError(f"{where}: chunks of {self._size} bytes packed with LZF; use gzip")

    def _look(self, chunk: Any) -> None:
        # what does not shrink is stored unpacked; a checksum may stand behind it
        if chunk.size > self._size + self._size // 8 + 64:
            raise DataError(f"{self._where}: damaged: a chunk of {self._size} bytes is longer")
        check_size(self._where, self._size, chunk.size)
        if chunk.size * self._ratio > SMALL_BYTES:
            self._large[chunk.chunk_offset] = chunk

    def check(self, index: Index) -> None:
        """Check the chunks of a part of the array, each once."""
        stored = self._stored
        for part in stored.iter_chunks(_slices(index, stored.shape)) if self._large else ():
            offset = tuple(s.start // n * n for s, n in zip(part, stored.chunks, strict=True))
            chunk = self._large.pop(offset, None)
            if chunk is None or chunk.filter_mask >> self._place & 1:
                continue
            _, raw = stored.id.read_direct_chunk(offset)
            most = self._size + 64
            if len(zlib.decompressobj().decompress(raw, most + 1)) > most:
                raise DataError(
                    f"{self._where}: damaged: a chunk unpacks to more than {most} bytes"
                )


def _slices(index: Index, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return which part of an array an index takes, as a slice per axis."""
    parts = [part for part in index if part is not Ellipsis]
    parts += [slice(None)] * (len(shape) - len(parts))
    return tuple(
        slice(*part.indices(n)) if isinstance(part, slice) else slice(part, part + 1)
        for part, n in zip(parts, shape, strict=True)
    )


def _blocks(stored: "h5py.Dataset") -> Iterator[tuple[slice, ...]]:
    # Whole layers of chunks along the axis that has most layers: no chunk is unpacked twice.
    layer = stored.chunks or (1, *stored.shape[1:])
    axis = int(np.argmax([-(-n // step) for n, step in zip(stored.shape, layer, strict=True)]))
    layer_bytes = stored.nbytes * layer[axis] // stored.shape[axis]
    step = layer[axis] * max(1, BLOCK_BYTES // max(1, layer_bytes))
    for start in range(0, stored.shape[axis], step):
        block = [slice(None)] * stored.ndim
        block[axis] = slice(start, start + step)
        yield tuple(block)
