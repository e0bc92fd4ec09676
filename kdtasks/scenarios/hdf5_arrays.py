"""Arrays in HDF5 files: of MATLAB v7.3, whose axes run backwards, and of h5py and others.

Source: MathWorks, "MAT-File Format", R2023b, the HDF5 layout of v7.3: axes in reverse order,
complex numbers as a compound of ``real`` and ``imag``, the class in an attribute.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kdtasks.errors import DataError
from kdtasks.scenarios.stored_arrays import Index, Read, Variable, complex_fields, described, joined

BLOCK_BYTES = 32 * 2**20
"""About how much of a file is read at once [bytes]."""

_FLOATS = {"f8": "double", "f4": "single", "c16": "double", "c8": "single"}
_NUMERIC = {
    "double",
    "single",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


def variables(path: Path, *, matlab: bool) -> list[Variable]:
    """Return what a file holds; what is in groups, MATLAB's structs, as ``group/name``."""
    found: list[Variable] = []

    def see(name: str, item: "h5py.Dataset | h5py.Group") -> None:
        # names that start with # are MATLAB's own: what cells refer to, class definitions
        if name.startswith("#"):
            return
        if matlab and (isinstance(item, h5py.Dataset) or "MATLAB_class" in item.attrs):
            found.append(_of_matlab(name, item))
        elif isinstance(item, h5py.Dataset):
            found.append(_plain(name, item))

    with h5py.File(path, "r") as file:
        file.visititems(see)
    return found


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
    with h5py.File(path, "r") as file:
        stored = file[name]
        if stored.size and not stored.id.get_storage_size() and not stored.external:
            raise DataError(f"{path}: {name} was declared, but never written; export it again")

        def read(index: Index) -> NDArray[Any]:
            return joined(stored[index[::-1]].T if matlab else stored[index])

        yield read


def fill_matlab(path: Path, name: str, result: NDArray[Any]) -> None:
    """Read a variable of MATLAB in blocks straight into ``result``."""
    with h5py.File(path, "r") as file:
        stored = file[name]
        for block in _blocks(stored):
            result.T[block] = joined(stored[block])


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
