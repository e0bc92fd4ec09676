"""Arrays in files of any format: what is known before they are read."""

from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[int | slice | EllipsisType, ...]
"""One entry per axis, in the order of `Variable.shape`; an integer drops its axis."""

Read = Callable[[Index], NDArray[Any]]
"""Returns a part of an array without reading the rest, as far as the format allows that."""

_COMPLEX_FIELDS = (("real", "imag"), ("r", "i"), ("re", "im"), ("i", "q"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """One variable of a file.

    Attributes:
        name: Its name; empty in a file of NumPy, which has one array.
        shape: Its size as MATLAB or NumPy print it.
        kind: Its type as the format names it: ``double``, ``int16``, ``complex64``, ``struct``.
        is_complex: Whether its entries have a real and an imaginary part.
        is_number: Whether its entries are numbers, so that they can be read.
        chunks: Sizes of the pieces that are stored together; None if it is stored in one.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    is_complex: bool = False
    is_number: bool = False
    chunks: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.name.isprintable():
            raise ValueError("a name that cannot be printed")

    @property
    def is_floating(self) -> bool:
        """Whether it is an array of MATLAB's floating-point numbers, real or complex."""
        return self.is_number and self.kind in ("double", "single")

    @property
    def type_name(self) -> str:
        """Its type in words."""
        implied = self.is_complex and "complex" not in self.kind
        return f"complex {self.kind}" if implied else self.kind

    def __str__(self) -> str:
        sizes = f"{'x'.join(map(str, self.shape)) or 'scalar'} {self.type_name}"
        return f"{self.name} ({sizes})" if self.name else sizes


def complex_fields(dtype: np.dtype[Any]) -> tuple[str, str] | None:
    """Return the fields of a compound type that hold real and imaginary part; None if none do."""
    names = dtype.names or ()
    if tuple(name.casefold() for name in names) not in _COMPLEX_FIELDS:
        return None
    real, imag = names
    return (real, imag) if dtype[real] == dtype[imag] and dtype[real].kind in "iuf" else None


def joined(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of a compound of real and imaginary part as complex numbers; others as is."""
    fields = complex_fields(values.dtype)
    return values if fields is None else as_complex(values[fields[0]], values[fields[1]])


def as_complex(real: NDArray[Any], imag: NDArray[Any]) -> NDArray[Any]:
    """Return complex numbers of the precision of their parts."""
    result = np.empty(real.shape, np.result_type(real.dtype, np.complex64))
    result.real, result.imag = real, imag
    return result


def described(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Variable:
    """Return the facts about an array of a NumPy type."""
    pair = complex_fields(dtype) is not None
    return Variable(
        name=name,
        shape=shape,
        kind=str(dtype),
        is_complex=pair or dtype.kind == "c",
        is_number=pair or dtype.kind in "iufc",
    )
