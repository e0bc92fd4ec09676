"""Numbers, durations and parameters as people read them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.stats import Interval

MISSING = "–"
MINUS = "\N{MINUS SIGN}"


def number(value: Any, digits: int = 3) -> str:
    """Return a number with at most ``digits`` decimals, thousands grouped; ``–`` if missing.

    Whole numbers stay whole, large ones lose their decimals and very small or very large ones are
    written as powers of ten.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return _signed(float(value), digits)


def _signed(value: float, digits: int) -> str:
    size = abs(value)
    if math.isinf(size):
        text = "∞"
    elif size == round(size) and size < 1e15:
        text = f"{size:,.0f}"
    elif size >= 1e9 or size < 10.0**-digits:
        text = f"{size:.{digits - 1}e}"
    else:
        text = f"{size:,.{0 if size >= 1e4 else digits}f}"
    return (MINUS if value < 0 else "") + text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def fixed(value: float | None, digits: int = 2) -> str:
    """Return a number with exactly ``digits`` decimals, as needed below one another in a table."""
    if value is None or math.isnan(value):
        return MISSING
    if abs(value) >= 1e4:
        return _signed(value if math.isinf(value) else float(round(value)), digits)
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0.0 or value >= 0.0 else MINUS + text


def percent(value: float | None) -> str:
    """Return a share as percent without the sign; only certainty is 0 or 100."""
    if value is None:
        return MISSING
    shown = f"{100.0 * value:.0f}"
    if shown == "0" and value > 0.0:
        return "<1"
    return ">99" if shown == "100" and value < 1.0 else shown


def short(value: float) -> str:
    """Return a number for an axis tick or label: three digits and a prefix k, M or G."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{prefix}".replace("-", MINUS)
    return f"{value:.3g}".replace("-", MINUS)


def interval(value: Interval | None, digits: int = 2) -> str:
    """Return ``mean ± half-width``; the mean alone for one seed; ``–`` for none."""
    if value is None:
        return MISSING
    mean = fixed(value.mean, digits)
    return mean if value.half_width is None else f"{mean} ± {fixed(value.half_width, digits)}"


_PREFIXES = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6}
_SCALED = {"B": "TGMk", "bit": "TGMk", "FLOP": "TGMk", "FLOPs": "TGMk", "J": "TGMkmµ", "s": "mµ"}
"""Units that take prefixes, each with those that are usual."""

_WHOLE = ("B", "bit")
"""Units without fractions."""

_MOST_DECIMALS = 4

WIDEST_PERCENT = 50.0
"""Half the range of percentages: a wider interval contains all of them, or nearly."""


def quantity(value: Interval | float | None, unit: str) -> str:
    """Return mean, half-width and unit with three significant digits: ``8.24 ± 0.10 kB``.

    Bytes, bits, operations, joules and seconds get the prefix that suits the mean; a count that is
    the same with every seed has no half-width. Decibels, and pure numbers of 1 and more, have two
    decimals, as `interval` writes them; bit error ratios are smaller and have three digits.
    """
    if value is None:
        return MISSING
    if not isinstance(value, Interval):
        value = Interval(value, None, 1)
    if unit == "dB" or (not unit and (abs(value.mean) >= 1.0 or value.mean == 0.0)):
        return with_unit(interval(value), unit)
    size = abs(value.mean) or value.half_width or 0.0
    base = _base(unit)
    if base is not None:
        scale, unit = _prefixed(size * base[0], base[1])
        scale /= base[0]
        half = None if value.half_width is None else value.half_width / scale
        value, size = Interval(value.mean / scale, half, value.count), size / scale
    # rounded first: 0.9996 is written as 1.00
    digits = 0 if size == 0.0 else 2 - math.floor(math.log10(float(f"{size:.2e}")))
    digits = max(0, min(_MOST_DECIMALS, digits))
    if unit in _WHOLE and size == round(size):
        digits = 0
    text = fixed(value.mean, digits)
    # less than that is rounding in the mean
    if value.half_width is not None and value.half_width > 1e-9 * size:
        text += f" ± {fixed(value.half_width, digits)}"
    return with_unit(text, unit)


def level(value: Interval | float | None, unit: str = "") -> str:
    """Return a number, or mean and half-width, with two decimals and the unit; ``–`` for none.

    Pure numbers below 1 have three digits, as `quantity` writes them.
    """
    if value is None:
        return MISSING
    found = value if isinstance(value, Interval) else Interval(value, None, 1)
    if not unit and abs(found.mean) < 1.0:
        return quantity(found, unit)
    return with_unit(interval(found), unit)


def tested(value: Interval | None, unit: str) -> str:
    """Return `level` of a mean over seeds, without its unit.

    An interval of percentages that is wider than all of them is written ``24.20 ± >50``.
    """
    if unit == "%" and value is not None and (value.half_width or 0.0) > WIDEST_PERCENT:
        return f"{fixed(value.mean)} ± >{WIDEST_PERCENT:g}"
    return level(value)


def _base(unit: str) -> tuple[float, str] | None:
    """Return prefix and base of a unit that takes prefixes: 1e9 and FLOP of GFLOP."""
    for base in _SCALED:
        if unit.endswith(base) and unit.removesuffix(base) in _PREFIXES:
            return _PREFIXES[unit.removesuffix(base)], base
    return None


def _prefixed(size: float, base: str) -> tuple[float, str]:
    """Return the divisor and the unit for a size in base units."""
    usual = [prefix for prefix in _PREFIXES if prefix in _SCALED[base] or not prefix]
    # 999.6 would be printed as 1000
    fits = [prefix for prefix in usual if size >= 0.9995 * _PREFIXES[prefix]]
    prefix = fits[0] if fits else usual[-1] if size > 0.0 else ""
    return _PREFIXES[prefix], prefix + base


def with_unit(text: str, unit: str) -> str:
    """Return the text and its unit, if it has one; 1 stands for a number without."""
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit not in ("", "1") else text


def gap_unit(unit: str) -> str:
    """Return the unit of a difference: two shares in percent are points apart, not percent."""
    return "points" if unit == "%" else unit


def duration(seconds: float | None) -> str:
    """Return a time such as ``1 h 05 min``, ``12 min 30 s`` or ``8.2 s``; ``–`` if unknown."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def params(values: Mapping[str, Any], separator: str = ", ") -> str:
    """Return parameters as ``name=value`` in their order."""
    return separator.join(f"{name}={param(value)}" for name, value in values.items())


def param(value: Any) -> str:
    """Return one parameter: floats with three significant digits, everything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def plural(count: int, noun: str) -> str:
    """Return ``1 trial`` or ``3 trials``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


BESIDE = ("paper", "difference", "seeds")
"""Headings of columns that stay beside the one before them."""


def column_parts(titles: Sequence[str], room: Sequence[float], width: float) -> list[list[int]]:
    """Return the columns of each part, from their titles and widths and the width of the page.

    The first is in all of them; a paper's numbers stay beside measured ones. A part is wider
    than ``width`` only where a single column, with those that stay beside it, is.
    """
    groups: list[list[int]] = []
    for i, title in enumerate(titles[1:], start=1):
        if title in BESIDE and groups:
            groups[-1].append(i)
        else:
            groups.append([i])
    parts: list[list[int]] = [[]]
    for group in groups:
        if parts[-1] and sum(room[i] for i in (0, *parts[-1], *group)) > width:
            parts.append([])
        parts[-1] += group
    return [[0, *part] for part in parts]
