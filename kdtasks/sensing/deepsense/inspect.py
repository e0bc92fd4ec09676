"""What a folder of DeepSense 6G data would be trained on, and what is wrong with it.

Looks at the head of every file and reads the small ones; pictures, radar cubes and scans are not
unpacked, so damage further inside shows up only when they are read.

Shape suffixes in this file: F = frames.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.data.splits import SPLITS
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import NUM_BEAMS
from kdtasks.sensing.deepsense.arrays import examine, read_powers, wanted_frames
from kdtasks.sensing.deepsense.dataset import DeepSenseData, check_sensors, check_windows
from kdtasks.sensing.deepsense.defects import by_kind, check_labels, short_sequences
from kdtasks.sensing.deepsense.files import PROBES
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.table import Defect, Table
from kdtasks.sensing.deepsense.windows import Windows, split_sequences, usable_windows

TAKEN_TOGETHER = (("image", "radar"), ("gps",), ("lidar",))
"""Sensors that a shipped study takes, one or both of each group; the first group that has windows
is read by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitCounts:
    """What a split would hold.

    Attributes:
        sequences: Sequences.
        frames: Frames of them.
        windows: Windows that can be trained on.
        labels: Windows per best beam of slot t0; 64 counts.
        unknown: Slots of these windows whose beam is unknown.
    """

    sequences: int
    frames: int
    windows: int
    labels: list[int]
    unknown: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        path: What was looked at.
        tables: Tables that were used.
        root: Folder that paths in them start from.
        layout: ``frames`` or ``windows``: what a row is.
        columns: Recognised columns by meaning.
        frames: Frames.
        sequences: Sequences.
        files: Frames with a usable file, by kind, of those that need one.
        needed: Frames that need a file, by kind.
        label_column: What the column of labels counts from, and how often it is right; empty if
            there is none.
        defects: Everything that is wrong.
        splits: What train, val and test would hold, for the sensors that were asked for.
        sensors: These sensors.
        alone: Windows that there would be with each sensor alone.
        notes: How tables were understood, and which sensors were skipped.
        without_sensor: Windows left out because a past frame lacks a sensor's data.
        without_label: Windows left out because no slot has a known beam.
        problem: Why nothing can be trained on it; empty if it can.
    """

    path: str
    tables: list[str]
    root: str
    layout: str
    columns: dict[str, str]
    frames: int
    sequences: int
    files: dict[str, int]
    needed: dict[str, int]
    label_column: str
    defects: list[Defect]
    splits: dict[str, SplitCounts]
    sensors: list[str]
    alone: dict[str, int]
    notes: list[str]
    without_sensor: int
    without_label: int
    problem: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def defects_by_kind(self) -> dict[str, list[Defect]]:
        """Return the defects, most frequent kind first."""
        return by_kind(self.defects)


def inspect(
    path: Path,
    *,
    sensors: tuple[str, ...] | None = None,
    shares: tuple[float, float, float] | None = None,
    strict: bool = True,
) -> Inspection:
    """Look at a folder or a table without making anything of it.

    Args:
        path: Folder of a scenario, or a CSV table.
        sensors: Which sensors the windows are to have; None takes those of `TAKEN_TOGETHER` whose
            files are there, and names those that are not.
        shares: See `deepsense_data.DeepSenseData`.
        strict: See `beam_windows.window_starts`.

    Raises:
        DataError: If no table can be used, or it has no such sensor.
    """
    table = open_table(path)
    wanted = table.sensors if sensors is None else sensors
    data = DeepSenseData(path=str(path), sensors=wanted, shares=shares, strict=strict)
    check_sensors(table, data)
    powers = read_powers(table)
    defects = [*table.defects, *powers.defects]
    usable = {"power": powers.usable}
    for kind in table.sensors:
        usable[kind], found = examine(table, kind, _probe(table, kind))
        defects += found
    label_column, wrong = check_labels(table, powers.values)
    defects += [*wrong, *short_sequences(table, strict=strict)]
    looked = _Inspected(
        table=table, powers=powers.values, usable=usable, data=data, defects=defects
    )
    notes = list(table.notes)
    if sensors is None:
        wanted = _chosen(looked)
        notes += _skipped(looked)
    windows = looked.windows(wanted)
    splits, problem = looked.splits(wanted)
    return Inspection(
        path=str(path),
        tables=[str(source) for source in table.sources],
        root=str(table.root),
        layout=table.layout,
        columns=dict(table.columns),
        frames=table.num_frames,
        sequences=len(set(table.sequence)),
        files={kind: looked.files(kind)[0] for kind in usable},
        needed={kind: looked.files(kind)[1] for kind in usable},
        label_column=label_column,
        defects=defects,
        splits=splits,
        sensors=list(wanted),
        alone={kind: len(looked.windows((kind,)).window) for kind in table.inputs},
        notes=notes,
        without_sensor=windows.without_sensor,
        without_label=windows.without_label,
        problem=problem,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Inspected:
    """Files that were looked at, and what windows with some sensors would be."""

    table: Table
    powers: NDArray[Any]
    usable: Mapping[str, NDArray[np.bool_]]
    data: DeepSenseData
    defects: list[Defect]

    def files(self, kind: str) -> tuple[int, int]:
        """Return of how many frames the file can be used, and how many need one."""
        wanted_F = wanted_frames(self.table, kind)
        return int((self.usable[kind] & wanted_F).sum()), int(wanted_F.sum())

    def windows(self, sensors: tuple[str, ...]) -> Windows:
        every = np.ones(self.table.num_frames, bool)
        usable_F = np.logical_and.reduce([every, *(self.usable[kind] for kind in sensors)])
        return usable_windows(
            self.table, self.powers, usable_F, strict=self.data.strict, stride=self.data.stride
        )

    def splits(self, sensors: tuple[str, ...]) -> tuple[dict[str, SplitCounts], str]:
        """Return what splits would hold, and why nothing can be trained on them."""
        if not sensors:
            return {}, f"{self.data.path}: no sensor has files, so beams could only be guessed"
        data, windows = replace(self.data, sensors=sensors), self.windows(sensors)
        try:
            sequences = split_sequences(self.table, data.shares)
            splits = {name: _counts(self.table, windows, sequences[name]) for name in SPLITS}
        except DataError as error:
            return {}, str(error)
        try:
            check_windows(data, windows, sequences, self.defects)
        except DataError as error:
            return splits, str(error)
        return splits, ""

    def trains(self, *sensors: str) -> bool:
        return not self.splits(sensors)[1]


def _chosen(looked: _Inspected) -> tuple[str, ...]:
    """Return the sensors of the first group that can be trained on, or else all with files."""
    has = looked.table.sensors
    for group in TAKEN_TOGETHER:
        fit = tuple(kind for kind in group if kind in has and looked.trains(kind))
        if fit and looked.trains(*fit):
            return fit
        if fit:
            return (max(fit, key=lambda kind: len(looked.windows((kind,)).window)),)
    with_files = tuple(kind for kind in has if looked.files(kind)[0])
    return with_files or has


def _skipped(looked: _Inspected) -> list[str]:
    notes = []
    for kind in looked.table.sensors:
        if not looked.trains(kind):
            count, needed = looked.files(kind)
            left = len(looked.windows((kind,)).window)
            few = f", which leaves {left} windows, in some split none" if count else ""
            notes.append(f"{kind} is skipped: {count} of {needed} frames have a usable file{few}")
    if "gps" in looked.table.columns and "gps" not in looked.table.sensors:
        notes.append(
            "gps is skipped: the tables name no position of the base station (column unit1_loc), "
            "from which those of vehicles are counted"
        )
    return notes


def _probe(table: Table, kind: str) -> Any:
    def look(frame: int) -> None:
        path = table.path(kind, frame)
        assert path is not None
        PROBES[kind](path)
        if kind == "gps":
            base = table.path("base", frame)
            if base is None:
                raise DataError(f"no position of the base station in {table.places[frame]}")
            PROBES[kind](base)

    return look


def _counts(table: Table, windows: Windows, sequences: NDArray[np.int64]) -> SplitCounts:
    chosen_W = np.isin(windows.passage, sequences)
    now_W = windows.label[chosen_W, 0]
    return SplitCounts(
        sequences=len(sequences),
        frames=int(np.isin(table.sequence_of_frames(), sequences).sum()),
        windows=int(chosen_W.sum()),
        labels=np.bincount(now_W[now_W != IGNORED], minlength=NUM_BEAMS).tolist(),
        unknown=int((windows.label[chosen_W] == IGNORED).sum()),
    )
