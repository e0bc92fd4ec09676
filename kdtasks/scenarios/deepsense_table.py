"""Frames of DeepSense 6G tables: which files belong to each, and in which windows it is.

Shape suffixes in this file: F = frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kdtasks.reading import checked_inside
from kdtasks.scenarios.deepsense_columns import SENSORS, Columns

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
