"""Which column of a DeepSense 6G table holds what, whatever a release calls it.

Names differ in case, prefix and numbering between releases and between the tables that published
code writes: ``unit1_rgb``, ``unit1_rgb_3``, ``camera3``; ``unit1_pwr_60ghz``, ``Beam3``. A column
without number has number 0 here.

Frames of DeepSense 6G tables: which files belong to each, and in which windows it is.

Shape suffixes in this file: F = frames.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import checked_inside

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


KINDS = (*SENSORS, "gps", "base", "power")
"""Files of a frame: what sensors left, where vehicle and base station were, powers of the beams."""

SYNTHETIC_TABLE = "synthetic_site.csv"
"""Name of the table that `deepsense_write` writes; data read from it are called synthetic."""

Layout = Literal["frames", "windows"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """One thing that is wrong with the data.

    Attributes:
        kind: What it is, the same words for all of a kind.
        where: File, or table and row.
        detail: What is wrong there.
    """

    kind: str
    where: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One table as it stands in its file.

    Attributes:
        path: The file.
        columns: What its columns hold.
        rows: Line number and cells of each row.
        defects: Rows that were left out.
    """

    path: Path
    columns: Columns
    rows: Sequence[tuple[int, Sequence[str]]]
    defects: Sequence[Defect]

    def place(self, line: int) -> str:
        """Return how messages name a row."""
        return f"{self.path.name} line {line}"


@dataclass(kw_only=True, slots=True)
class Table:
    """Frames of one or several tables that belong together, and their files.

    Attributes:
        root: Folder that the files' paths start from.
        sources: The tables.
        layout: Whether their rows are frames or windows.
        columns: Names of the columns that were recognised, by meaning.
        split_of_source: Which split each table is; empty if rows or shares have to say.
        files: Paths relative to ``root``, by kind, one per frame; empty where there is none.
        places: Table and line of each frame, for messages.
        sequence: Sequence of each frame.
        label: What the table says of each frame's best beam; None if nothing.
        condition: Condition of each frame, one of `CONDITIONS` or `UNKNOWN_CONDITION`.
        split: Split of each sequence, where the tables say so.
        past: The 8 frames of each window, for windows.
        slots: The 4 frames whose beams each window predicts, -1 where there is none.
        shared: Numbers of sequences that stand in several splits of windows, by the split that
            came later.
        defects: What was wrong with the tables.
        notes: What the user should know about how the tables were understood.
    """

    root: Path
    sources: tuple[Path, ...]
    layout: Layout
    columns: Mapping[str, str]
    split_of_source: tuple[str, ...] = ()
    files: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    places: list[str] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    label: list[int | None] = field(default_factory=list)
    condition: list[int] = field(default_factory=list)
    split: dict[int, str] = field(default_factory=dict)
    past: list[list[int]] = field(default_factory=list)
    slots: list[list[int]] = field(default_factory=list)
    shared: dict[str, set[int]] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def num_frames(self) -> int:
        """Frames."""
        return len(self.places)

    @property
    def sensors(self) -> tuple[str, ...]:
        """What frames hold besides powers, as far as the tables say."""
        with_gps = any(self.files["gps"]) and any(self.files["base"])
        return tuple(kind for kind in SENSORS if any(self.files[kind])) + ("gps",) * with_gps

    @property
    def inputs(self) -> tuple[str, ...]:
        """What windows can look back on: sensors, and powers where past frames have them."""
        powers = self.files["power"]
        past = (past[:-1] for past in self.past)
        known = self.layout == "frames" or any(powers[frame] for one in past for frame in one)
        return self.sensors + ("power",) * known

    def sequence_of_frames(self) -> NDArray[np.int32]:
        """Return the sequence of each frame, shape [F]."""
        return np.array(self.sequence, np.int32)

    def path(self, kind: str, frame: int) -> Path | None:
        """Return the file of a frame, or None if its table names none.

        Raises:
            DataError: If it is not in the tables' folder, with all links resolved.
        """
        name = self.files[kind][frame]
        return checked_inside(self.root, self.root / name) if name else None

    def name(self, kind: str, frame: int) -> str:
        """Return how messages name a file of a frame."""
        return self.files[kind][frame] or f"{self.places[frame]}, {kind}"
