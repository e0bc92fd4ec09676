"""Channels in files of the user's own: which files and arrays hold them, read as far as wanted.

Formats are recognised by the first bytes of a file, never by its name: NumPy (``.npy``, ``.npz``),
MATLAB (v5 to v7.3), HDF5. Of large files only the users that are wanted are read.

Shape suffixes in this file: N = samples, A = antennas, C = subcarriers.
"""

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data.channel_axes import AXES, Axes, Layout, advice, check_layout
from kdtasks.data import hdf5_arrays, matlab, numpy_arrays
from kdtasks.data.checks import check_finite, check_power
from kdtasks.data.reading import check_size, checked_inside, damage_named
from kdtasks.data.stored_arrays import Read, Variable

SUFFIXES = (".npy", ".npz", ".mat", ".h5", ".hdf5")
"""Names of files that a folder is searched for, in small or capital letters."""

BLOCK_BYTES = 64 * 2**20
"""About how many channels are read at once [bytes]."""

_FORMATS = {
    "numpy": (b"\x93NUMPY", b"PK"),
    "hdf5": (matlab.HDF5_SIGNATURE,),
    "matlab": (b"MATLAB 5.0", b"MATLAB 7.3"),
}
_DROP = "leave such samples out: --set parameters.data_drop=true"
_CHECKED = ("sample", *AXES[1:])


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelArray:
    """An array of channels in a file."""

    file: Path
    variable: Variable
    axes: Axes
    layout: Layout

    @property
    def where(self) -> str:
        """File and variable, for errors."""
        return f"{self.file}: {self.variable.name}" if self.variable.name else str(self.file)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some neighbouring samples of an array.

    Attributes:
        channels_NAC: Complex channels in the file's own unit, NaN and zeros included.
        user_N: The user of each sample, counted through all files.
    """

    channels_NAC: NDArray[np.complex64]
    user_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user_N)


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedSamples(Block):
    """The samples that were wanted.

    Attributes:
        dropped: Samples before the last of them that were left out.
    """

    dropped: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """The arrays of channels at a path.

    Attributes:
        arrays: One per file, in the order of their names; antennas and subcarriers are the same.
        skipped: Files of a folder that hold no channels, each with what it holds instead.
    """

    arrays: tuple[ChannelArray, ...]
    skipped: dict[str, str]

    @property
    def layout(self) -> Layout:
        """How many there are in all files together."""
        first = self.arrays[0].layout
        return Layout(
            users=sum(array.layout.users for array in self.arrays),
            receive=first.receive,
            antennas=first.antennas,
            subcarriers=first.subcarriers,
        )


def channel_files(path: Path) -> list[Path]:
    """Return the files at a path that may hold channels, in the order of their names.

    Hidden files are left out, and with them what macOS writes beside a file (``._a.npy``).

    Raises:
        DataError: If there is nothing at the path, or a link in it leads out of it.
    """
    if path.is_dir():
        return sorted(
            checked_inside(path, file)
            for file in path.iterdir()
            if file.suffix.lower() in SUFFIXES and file.name[0] != "." and not file.is_dir()
        )
    if not path.exists():
        raise DataError(f"{path}: no such file or folder, or a link that leads nowhere")
    return [path]


def variables(file: Path) -> list[Variable]:
    """Return what a file holds, without reading values.

    Raises:
        DataError: If it is missing, damaged, or of none of the formats.
    """
    with damage_named(file):
        form = _format(file)
        if form == "numpy":
            return numpy_arrays.variables(file)
        if form == "hdf5":
            return hdf5_arrays.variables(file, matlab=False)
        return list(matlab.variables(file).values())


def find_channels(path: Path, *, key: str = "", axes: str) -> Channels:
    """Return which arrays of a file or a folder hold channels, without reading values.

    Args:
        path: A file, or a folder with some.
        key: Name of the variable; empty takes the only one that fits.
        axes: What each axis counts, see `Axes`.

    Raises:
        ConfigError: If the axes are none.
        DataError: If files are missing, damaged, do not fit each other or hold no such channels.
    """
    files, wanted = channel_files(path), Axes(axes)
    arrays, skipped = [], {}
    for file in files:
        found = variables(file)
        if len(files) > 1 and not any(may_be_channels(v, wanted) for v in found):
            skipped[file.name] = ", ".join(map(str, found)) or "nothing"
        else:
            arrays.append(_chosen(file, found, key, wanted))
    if not arrays:
        shown = "; ".join(f"{name}: {held}" for name, held in skipped.items())
        wanted_files = f"no file of channels ({', '.join(SUFFIXES)})"
        raise DataError(f"{path}: {wanted_files}; it has {shown or 'none of these'}")
    first = arrays[0]
    for array in arrays[1:]:
        _check_alike(array, first)
    return Channels(arrays=tuple(arrays), skipped=skipped)


def may_be_channels(variable: Variable, axes: Axes) -> bool:
    """Return whether an array could be channels: complex, or of parts, and more than a vector."""
    if not variable.is_number:
        return False
    if not variable.is_complex:
        return axes.has_parts and not axes.misfit(variable.shape)
    return not axes.misfit(variable.shape) or sum(length > 1 for length in variable.shape) > 1


def fits(variable: Variable, axes: Axes) -> bool:
    """Return whether an array can be read as channels with these axes."""
    read = may_be_channels(variable, axes) and variable.is_complex != axes.has_parts
    return read and not axes.misfit(variable.shape)


def read_channels(path: Path, *, key: str = "", axes: str) -> NDArray[np.complex64]:
    """Read all complex channels of a file or folder.

    Args:
        path: See `find_channels`.
        key: See `find_channels`.
        axes: See `find_channels`.

    Returns:
        Channels, shape [N, A, C], in the files' own unit.

    Raises:
        ConfigError: If the axes are none.
        DataError: If `find_channels` does, or entries are not finite, or samples without power.
    """
    found = find_channels(path, key=key, axes=axes)
    return take(found, found.layout.samples, drop=False).channels_NAC


def take(found: Channels, count: int, *, drop: bool) -> SelectedSamples:
    """Read the first samples, and no more of large files than these need.

    Args:
        found: Where they are.
        count: How many, if there are as many.
        drop: Leave out samples that are zero or not finite, instead of refusing them.

    Raises:
        DataError: If samples are zero or not finite, or a file is damaged.
    """
    layout = found.layout
    count = min(count, layout.samples)
    values = count * layout.antennas * layout.subcarriers
    stored = sum(array.file.stat().st_size for array in found.arrays)
    check_size(found.arrays[0].where, 8 * values, stored)
    with damage_named(found.arrays[0].file):
        channels_NAC = np.empty((count, layout.antennas, layout.subcarriers), np.complex64)
    user_N = np.empty(count, np.int64)
    done = dropped = user = 0
    for array in found.arrays:
        first = done
        for block in blocks(array, user) if done < count else ():
            kept = usable(block.channels_NAC) if drop else np.ones(len(block), np.bool_)
            last = int(np.searchsorted(np.cumsum(kept), count - done)) + 1
            kept, new = kept[:last], slice(done, done + int(kept[:last].sum()))
            np.compress(kept, block.channels_NAC[:last], axis=0, out=channels_NAC[new])
            np.compress(kept, block.user_N[:last], out=user_N[new])
            done, dropped = new.stop, dropped + len(kept) - int(kept.sum())
            if done == count:
                break
        user += array.layout.users
        if done > first:
            read_NAC = channels_NAC[first:done]
            check_finite(read_NAC, where=array.where, axes=_CHECKED, fix=_DROP)
            check_power(read_NAC, where=array.where, fix=_DROP)
    return SelectedSamples(channels_NAC=channels_NAC[:done], user_N=user_N[:done], dropped=dropped)


def blocks(array: ChannelArray, user: int = 0) -> Iterator[Block]:
    """Yield the samples of an array in blocks.

    Args:
        array: Where they are.
        user: Number of its first user.

    Raises:
        DataError: If the file is damaged.
    """
    variable, layout = array.variable, array.layout
    place, rows = array.axes.rows(variable.shape)
    row_bytes = 8 * layout.samples * layout.antennas * layout.subcarriers // rows
    # whole pieces of the file, so that none is unpacked twice
    piece = variable.chunks[place] if variable.chunks and place >= 0 else 1
    step = piece * -(-max(1, BLOCK_BYTES // row_bytes) // piece)
    with damage_named(array.file), _reader(array.file, array.variable.name) as read:
        for start in range(0, rows, step):
            channels_NAC = array.axes.read(read, slice(start, start + step))
            users = len(channels_NAC) // layout.receive
            user_N = np.repeat(np.arange(user, user + users), layout.receive)
            yield Block(channels_NAC=channels_NAC, user_N=user_N)
            user += users


def usable(channels_NAC: NDArray[np.complex64]) -> NDArray[np.bool_]:
    """Return which samples are finite and not all zero, shape [N]."""
    flat = channels_NAC.reshape(len(channels_NAC), -1)
    return np.asarray(np.isfinite(flat).all(axis=1) & flat.any(axis=1))


def is_channel_file(file: Path) -> bool:
    """Return whether a file starts as one of the formats do."""
    return file.is_file() and bool(_known_format(file))


def _known_format(file: Path) -> str:
    with damage_named(file), file.open("rb") as opened:
        start = opened.read(len(matlab.HDF5_SIGNATURE) + 2)
    for form, starts in _FORMATS.items():
        if start.startswith(starts):
            return form
    return ""


def _format(file: Path) -> str:
    """Return ``numpy``, ``hdf5`` or ``matlab``."""
    form = _known_format(file)
    if form or file.suffix.lower() == ".mat":
        return form or "matlab"
    shown = "neither NumPy, MATLAB nor HDF5" if file.stat().st_size else "empty"
    raise DataError(
        f"{file}: {shown}, judged by its first bytes; save channels with numpy.save, or with "
        "save(..., '-v7') in MATLAB or Octave"
    )


def stored_values(file: Path, name: str) -> NDArray[Any]:
    """Return all values of an array of numbers in a file.

    Raises:
        DataError: If the file is damaged, or too large for the memory.
    """
    with damage_named(file), _reader(file, name) as read:
        return np.array(read((...,)))


def _reader(file: Path, name: str) -> AbstractContextManager[Read]:
    form = _format(file)
    if form == "numpy":
        return numpy_arrays.reader(file, name)
    return (
        hdf5_arrays.reader(file, name, matlab=False)
        if form == "hdf5"
        else matlab.reader(file, name)
    )


def _chosen(file: Path, found: Sequence[Variable], key: str, axes: Axes) -> ChannelArray:
    """Return the array of a file that is meant."""
    named = [v for v in found if v.name in (key, "")] if key else found
    fitting = [v for v in named if fits(v, axes)]
    if len(fitting) == 1:
        where = f"{file}: {fitting[0].name}".removesuffix(": ")
        layout = check_layout(where, axes, fitting[0].shape)
        return ChannelArray(file=file, variable=fitting[0], axes=axes, layout=layout)
    there = ", ".join(map(str, found)) or "nothing"
    if len(fitting) > 1:
        raise DataError(
            f"{file}: {len(fitting)} arrays could be the channels: say which, for example "
            f"--set parameters.data_key={shlex.quote(fitting[0].name)}; the file holds {there}"
        )
    if not named:
        raise DataError(f"{file}: no variable {key!r} (data_key); the file holds {there}")
    near = [v for v in named if v.is_number] or named
    best = max(near, key=lambda v: (v.is_complex, math.prod(v.shape)))
    raise DataError(f"{file}: {advice(best, axes, found)}; the file holds {there}")


def _check_alike(array: ChannelArray, first: ChannelArray) -> None:
    one, other = array.layout, first.layout
    if (one.receive, one.antennas, one.subcarriers) != (
        other.receive,
        other.antennas,
        other.subcarriers,
    ):
        raise DataError(
            f"{array.file}: {_sizes(one)}, but {first.file.name} has {_sizes(other)}; one folder "
            "holds one kind of channels"
        )


def _sizes(layout: Layout) -> str:
    receive = f"{layout.receive} receive antennas, " if layout.receive > 1 else ""
    return f"{receive}{layout.antennas} antennas and {layout.subcarriers} subcarriers"
