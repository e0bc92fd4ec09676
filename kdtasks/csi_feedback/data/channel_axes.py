"""What each axis of a file of channels counts, in words, and channels in our own order of axes.

Shape suffixes in this file: N = samples, A = antennas, C = subcarriers.
"""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.stored_arrays import Read, Variable

USER, RECEIVE, ANTENNA, SUBCARRIER = "user", "receive", "antenna", "subcarrier"
PART, SINGLE = "part", "single"

AXES = (USER, ANTENNA, SUBCARRIER)
"""The axes of channels as they are handed on, in this order."""

DEFAULT = " ".join(AXES)

WORDS = (
    f"{USER}, {RECEIVE} (receive antennas, each a sample of its own, all of one user in the same "
    f"split), {ANTENNA}, {SUBCARRIER}, {PART} (real and imaginary part), {SINGLE} (of length 1) "
    "and NAME=NUMBER (takes one entry, counted from 0)"
)
"""What `Axes` understands."""

_RECIPES = {
    "struct": "save its field, H = NAME.H; save('h.mat', 'H', '-v7')",
    "cell": "put its cells together, H = cat(4, NAME{:}); save('h.mat', 'H', '-v7')",
    "sparse": "save it as H = full(NAME)",
    **dict.fromkeys(
        ("external link", "soft link", "external storage", "virtual dataset"),
        "its values may lie in another file, which is never opened; copy them into this one",
    ),
    "object": "it holds objects, which are never opened; save an array of complex numbers",
}
"""How to save what is no array of numbers, by kind."""

_PARTS = ("real", "imaginary")

_ORDER = (USER, RECEIVE, ANTENNA, SUBCARRIER, PART)
_PICK = re.compile(r"[A-Za-z]\w*=(\d+)")
_MUCH_LONGER = 4
_FEW = 8
"""Up to so many entries an axis is rather receive antennas or polarisations than anything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How many of each a file has.

    Attributes:
        users: Users.
        receive: Samples per user, one for each receive antenna.
        antennas: Antennas of the base station.
        subcarriers: Subcarriers.
    """

    users: int
    receive: int
    antennas: int
    subcarriers: int

    @property
    def samples(self) -> int:
        """Samples of all users."""
        return self.users * self.receive


@dataclass(frozen=True, slots=True)
class Axes:
    """One word per axis of an array, in the array's order, separated by blanks.

    ``user``, ``receive``, ``antenna`` and ``subcarrier`` may each be there several times, the
    outermost first, or not at all, which is one; but an antenna or a subcarrier axis there must be.

    Example: ``channel.fr(bandwidth, num_subcarriers)`` of QuaDRiGa gives [receive, antennas,
    subcarriers, snapshots]: ``receive antenna subcarrier user`` takes all receive antennas,
    ``receive=0 antenna subcarrier user`` the first.

    Raises:
        ConfigError: If a word is none of these.
    """

    text: str

    def __post_init__(self) -> None:
        for word in self.words:
            if word not in (*_ORDER, SINGLE) and not _PICK.fullmatch(word):
                raise ConfigError(f"data_axes={self.text!r}: {word!r} is none of {WORDS}")
        if not {ANTENNA, SUBCARRIER} & set(self.words) or self.words.count(PART) > 1:
            raise ConfigError(
                f"data_axes={self.text!r} must name {ANTENNA} or {SUBCARRIER}, and {PART} at most "
                f"once; it knows {WORDS}"
            )

    @property
    def words(self) -> list[str]:
        """What each axis counts."""
        return self.text.split()

    @property
    def has_parts(self) -> bool:
        """Whether an axis counts real and imaginary part, so that the array is real."""
        return PART in self.words

    def misfit(self, shape: Sequence[int]) -> str:
        """Return why an array of that shape has no such axes; empty if it has."""
        if len(shape) != len(self.words):
            return f"{len(shape)} axes, {self.text!r} names {len(self.words)}"
        for place, (word, length) in enumerate(zip(self.words, shape, strict=True), start=1):
            pick = _PICK.fullmatch(word)
            if pick and int(pick[1]) >= length:
                return f"axis {place} has {length} entries, counted from 0, so there is no {word}"
            for name, wanted in ((SINGLE, 1), (PART, 2)):
                if word == name and length != wanted:
                    return f"axis {place} is called {name!r} but is {length} long, not {wanted}"
        return ""

    def layout(self, shape: Sequence[int]) -> Layout:
        """Return how many of each an array of that shape has; it must fit."""
        users, receive, antennas, subcarriers = (
            math.prod(n for word, n in zip(self.words, shape, strict=True) if word == name)
            for name in _ORDER[:4]
        )
        return Layout(users=users, receive=receive, antennas=antennas, subcarriers=subcarriers)

    def rows(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return the place of the outermost user axis and its length; -1 and 1 without one."""
        place = self.words.index(USER) if USER in self.words else -1
        return place, shape[place] if place >= 0 else 1

    def read(self, read: Read, rows: slice) -> NDArray[np.complex64]:
        """Return the channels of some rows of the outermost user axis, shape [N, A, C]."""
        outermost = self.words.index(USER) if USER in self.words else -1
        index: list[int | slice] = []
        kept = []
        for place, word in enumerate(self.words):
            pick = _PICK.fullmatch(word)
            if word == SINGLE or pick:
                index.append(int(pick[1]) if pick else 0)
            else:
                index.append(rows if place == outermost else slice(None))
                kept.append(word)
        return self._arranged(read(tuple(index)), kept)

    def _arranged(self, values: NDArray[np.generic], kept: list[str]) -> NDArray[np.complex64]:
        order = sorted(range(len(kept)), key=lambda axis: _ORDER.index(kept[axis]))
        sizes = [
            math.prod(n for word, n in zip(kept, values.shape, strict=True) if word == name)
            for name in _ORDER
        ]
        ordered = values.transpose(order)
        with np.errstate(over="ignore"):
            if self.has_parts:
                joined = np.empty(ordered.shape[:-1], np.complex64)
                joined.real, joined.imag = ordered[..., 0], ordered[..., 1]
            else:
                joined = np.ascontiguousarray(ordered, np.complex64)
        return joined.reshape(sizes[0] * sizes[1], sizes[2], sizes[3])


def suggested(shape: Sequence[int], *, is_complex: bool, one_user: bool = False) -> str:
    """Return the axes that an array of channels most likely has; empty if it cannot be one.

    Users are the first axis, unless another one is much longer; of more than two axes that are left
    over the shortest are receive antennas. Only the program that wrote the file knows for
    certain.

    Args:
        shape: Lengths of the axes.
        is_complex: Whether entries are complex; one axis of others counts their parts.
        one_user: Whether no axis counts users.
    """
    words = [SINGLE if length == 1 else "" for length in shape]
    if not is_complex:
        pairs = [place for place, length in enumerate(shape) if length == 2]
        if not pairs:
            return ""
        words[pairs[-1]] = PART
    free = [place for place, word in enumerate(words) if not word]
    if len(free) < 2 or 0 in shape:
        return ""
    if not one_user:
        user = max(free, key=lambda place: shape[place])
        if shape[user] <= _MUCH_LONGER * shape[free[0]]:
            user = free[0]
        words[user] = USER
        free.remove(user)
    while len(free) > 2:
        few = min(free, key=lambda place: (shape[place], place))
        words[few] = RECEIVE
        free.remove(few)
    words = _antennas_first(words, free, shape)
    return " ".join(words)


def _antennas_first(words: list[str], free: list[int], shape: Sequence[int]) -> list[str]:
    named: tuple[str, ...] = (ANTENNA, SUBCARRIER)
    if len(free) == 1:  # a ray tracer has many antennas in a power of two, Wi-Fi tones have not
        named = (ANTENNA,) if _power_of_two(shape[free[0]]) else (SUBCARRIER,)
    elif (shape[free[1]] <= _FEW < shape[free[0]]) or (
        _power_of_two(shape[free[1]]) and not _power_of_two(shape[free[0]])
    ):
        named = (SUBCARRIER, ANTENNA)
    for place, name in zip(free, named, strict=True):
        words[place] = name
    return words


def _power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def check_layout(where: str, axes: Axes, shape: Sequence[int]) -> Layout:
    """Return how many of each an array has.

    Args:
        where: File and variable, for the error.
        axes: What its axes count.
        shape: Their lengths.

    Raises:
        DataError: If it has none, or there is nothing to compress: one antenna, one subcarrier.
    """
    layout = axes.layout(shape)
    shown = f"{where}: shape {list(shape)} with data_axes={axes.text!r}"
    if not layout.samples or not layout.antennas or not layout.subcarriers:
        raise DataError(f"{shown} holds no users; export it again, with some")
    if layout.antennas * layout.subcarriers == 1:
        raise DataError(
            f"{shown} is one antenna and one subcarrier, so one number per sample: nothing to "
            f"compress; name other axes: {WORDS}"
        )
    return layout


def advice(variable: Variable, axes: Axes, others: Sequence[Variable] = ()) -> str:
    """Return why an array is not read as channels with these axes, and what would read it.

    Args:
        variable: The array.
        axes: What its axes count, as declared.
        others: What is beside it in its file.
    """
    name = variable.name or "the array"
    shown = f"{variable.name or 'shape'} {list(variable.shape)} of {variable.type_name}"
    if not variable.is_number or 0 in variable.shape:
        recipe = _RECIPES.get(variable.kind, "save an array of complex numbers")
        empty = "; it is empty" if variable.is_number else ""
        return f"{shown} holds no channels{empty}: {recipe}".replace("NAME", name)
    guess = suggested(variable.shape, is_complex=variable.is_complex)
    fix = f"name its axes, most likely --set {shlex.quote(f'parameters.data_axes={guess}')}"
    if not variable.is_complex and not axes.has_parts:
        twins = [v.name for v in others if v.is_number and v.shape == variable.shape][:2]
        join = f"save complex numbers: {' + 1j * '.join(twins if twins[1:] else _PARTS)}"
        return f"{shown} is real, channels are complex: {f'{fix}, or ' if guess else ''}{join}"
    reason = axes.misfit(variable.shape) or "one number per user is nothing to compress"
    if variable.is_complex and axes.has_parts:
        reason = f"it is complex, so that no axis counts {PART}s"
    return f"{shown}: {reason}; {fix if guess else f'channels need two axes or more: {WORDS}'}"
