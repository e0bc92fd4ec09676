"""Small MATLAB files, byte for byte in the layouts that MATLAB writes."""

from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat Nov 22 2025"
CLASSES = {"f8": "double", "c16": "double", "f4": "single", "c8": "single", "i4": "int32"}


def write_v5(path: Path, **arrays) -> Path:
    savemat(path, arrays, appendmat=False)
    return path


def write_v5_compressed(path: Path, **arrays) -> Path:
    """What ``save`` writes by default (``-v7``)."""
    savemat(path, arrays, appendmat=False, do_compression=True)
    return path


def write_v73(path: Path, *, chunks=None, **arrays) -> Path:
    """What ``save(..., '-v7.3')`` writes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            _add(file, name, np.asarray(array), chunks)
    with path.open("r+b") as file:
        file.write(HEADER.ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


def _add(file, name, array, chunks):
    if array.dtype.kind == "U":  # char: UTF-16 code units
        codes = np.array([[ord(letter)] for letter in array.item()], np.uint16)
        stored = file.create_dataset(name, data=codes)
        stored.attrs["MATLAB_class"] = np.bytes_(b"char")
        return
    if array.dtype == object:  # cell: references into #refs#
        inner = file.require_group("#refs#").create_dataset("a", data=np.zeros((2, 1)))
        stored = file.create_dataset(name, data=[[inner.ref]], dtype=h5py.ref_dtype)
        stored.attrs["MATLAB_class"] = np.bytes_(b"cell")
        return
    values = array.T
    if array.dtype.kind == "c":
        part = array.real.dtype
        values = np.empty(array.T.shape, [("real", part), ("imag", part)])
        values["real"], values["imag"] = array.T.real, array.T.imag
    packing = {"chunks": chunks[::-1], "compression": "gzip"} if chunks else {}
    stored = file.create_dataset(name, data=values, **packing)
    stored.attrs["MATLAB_class"] = np.bytes_(CLASSES[array.dtype.str[1:]])


WRITERS = {"v5": write_v5, "v7": write_v5_compressed, "v7.3": write_v73}
