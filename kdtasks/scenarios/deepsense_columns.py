"""Which column of a DeepSense 6G table holds what, whatever a release calls it.

Names differ in case, prefix and numbering between releases and between the tables that published
code writes: ``unit1_rgb``, ``unit1_rgb_3``, ``camera3``; ``unit1_pwr_60ghz``, ``Beam3``. A column
without number has number 0 here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdtasks.errors import DataError

SENSORS = ("image", "radar", "lidar")
"""Kinds of files that a sensor of the base station leaves per frame."""

NO_VALUE = ("", "nan", "none", "-1", "-100")
"""Cells that name no file; partial windows of published tables are filled up with them."""

# What a name without its number may be, by meaning; of several that match, the first counts.
_PATTERNS: Mapping[str, tuple[str, ...]] = {
    "image": (r"(unit1_)?(rgb|camera|image|img)",),
    "radar": (r"(unit1_)?radar(_ra)?",),
    "lidar": (r"(unit1_)?lidar_scr", r"(unit1_)?lidar"),
    "power": (r"(unit1_)?(pwr|power|mmwave)(_60ghz|_power)?",),
    "future": (r"future_(beam|pwr|power)",),
    "gps": (r"unit2_loc_cal", r"unit2_loc", r"gps"),
    "base": (r"unit1_loc", r"bs_gps"),
    "label": (r"(unit1_)?beam_index|unit1_beam|best_beam",),
    "sequence": (r"(seq|sequence)(_index|_idx|_id)?",),
    "split": (r"split",),
    "condition": (r"condition",),
}
# A name with a number that says only what a window is made of: paths tell which.
_NUMBERED_ONLY = {"beam": "power", "seq": "any sensor"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Where things are in the rows of a table.

    Attributes:
        header: Names as in the file.
        places: Index of the column, by meaning and number; see `_PATTERNS` for meanings.
        num_past: Frames that a row looks back on; 0 if a row is one frame.
    """

    header: tuple[str, ...]
    places: Mapping[str, Mapping[int, int]]
    num_past: int

    def has(self, meaning: str) -> bool:
        """Return whether there is such a column."""
        return bool(self.places.get(meaning))

    def cell(self, row: Sequence[str], meaning: str, number: int = 0) -> str:
        """Return what a row holds, without blanks around; empty if nothing."""
        place = self.places.get(meaning, {}).get(number)
        value = "" if place is None else row[place].strip()
        return "" if value.lower() in NO_VALUE else value

    def single(self, row: Sequence[str], meaning: str) -> str:
        """Return what a row holds in the column without number, or else with number 1."""
        return self.cell(row, meaning) or self.cell(row, meaning, 1)

    def names(self) -> dict[str, str]:
        """Return the names that were recognised, by meaning, in the order of their numbers."""
        return {
            meaning: ", ".join(self.header[places[number]] for number in sorted(places))
            for meaning, places in self.places.items()
            if places
        }


def resolve_columns(header: Sequence[str], first_row: Sequence[str], where: str) -> Columns:
    """Find out what each column of a table holds.

    Args:
        header: Names.
        first_row: One row of values; tells what numbered columns ``seq1`` ... hold.
        where: The file, for messages.

    Raises:
        DataError: If two columns claim the same, or numbers do not run from 1.
    """
    places: dict[str, dict[int, int]] = {}
    ranks: dict[str, int] = {}
    for index, name in enumerate(header):
        found = _meaning(name, first_row[index] if index < len(first_row) else "")
        if found is None:
            continue
        meaning, number, rank = found
        if rank < ranks.get(meaning, len(_PATTERNS)):
            ranks[meaning], places[meaning] = rank, {}
        elif rank > ranks[meaning]:
            continue
        if number in places[meaning]:
            raise DataError(
                f"{where}: columns {header[places[meaning][number]]!r} and {name!r} both look like "
                f"{meaning}; rename one"
            )
        places[meaning][number] = index
    num_past = _num_past(places, header, where)
    return Columns(header=tuple(header), places=places, num_past=num_past)


def _meaning(name: str, value: str) -> tuple[str, int, int] | None:
    """Return meaning, number and rank of a name; None if it says nothing that is needed."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    numbered = re.fullmatch(r"(.*?[a-z])_?(\d{1,6})", plain)
    stem, number = (numbered[1], int(numbered[2])) if numbered else (plain, 0)
    if number and stem in _NUMBERED_ONLY:
        meaning = _NUMBERED_ONLY[stem]
        return (_sensor_of(value) if meaning == "any sensor" else meaning), number, 0
    for meaning, patterns in _PATTERNS.items():
        for rank, pattern in enumerate(patterns):
            if re.fullmatch(pattern, stem):
                return meaning, number, rank
    return None


def _sensor_of(path: str) -> str:
    lower = path.lower()
    if "radar" in lower:
        return "radar"
    return "image" if lower.endswith((".jpg", ".jpeg", ".png")) else "lidar"


def _num_past(places: Mapping[str, Mapping[int, int]], header: Sequence[str], where: str) -> int:
    counts = set()
    for meaning in SENSORS:
        numbers = sorted(number for number in places.get(meaning, {}) if number)
        if numbers != list(range(1, len(numbers) + 1)):
            names = ", ".join(header[places[meaning][number]] for number in numbers)
            raise DataError(
                f"{where}: columns {names} of {meaning} are not numbered from 1 on without gaps; "
                "tables of several cameras or vehicles are not supported"
            )
        counts |= {len(numbers)} - {0, 1}
    if len(counts) > 1:
        raise DataError(f"{where}: sensors with different numbers of frames, {sorted(counts)}")
    if counts:
        return counts.pop()
    # A table of GPS alone, or of powers alone, tells by its past beams.
    return len(places.get("power", {})) if "future" in places else 0
