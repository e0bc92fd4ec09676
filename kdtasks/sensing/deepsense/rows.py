"""From the rows of DeepSense 6G tables to frames and windows.

Paths in a table start from its folder or the one above. Tables that were written on another machine
hold whole paths, also with backslashes; of these the part from ``unit1`` or ``unit2`` on counts,
with the scenario's folder before it if that is there.
"""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import inside
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.beams.format import (
    CONDITIONS,
    NUM_PAST,
    NUM_SLOTS,
    SCENE_STEP,
    UNKNOWN_CONDITION,
)
from kdtasks.sensing.deepsense.table import KINDS, SENSORS, Defect, Source, Table

Frame = Mapping[str, str]
"""Files of a frame by kind."""


def fill_table(sources: Sequence[Source], splits: Mapping[Path, str]) -> Table:
    """Return the frames and windows of tables that belong together.

    Windows of a split have frames of their own, also where a sequence is in several splits.

    Args:
        sources: They are of one layout.
        splits: The split that a table is, by its file; empty if its rows have to say.

    Raises:
        DataError: If nothing can be made of any row, or a sequence of frames is in two splits, in
            each of which the frames of the other would be missing.
    """
    first = sources[0]
    roots = {source.path: _root(source) for source in sources}
    table = Table(
        root=Path(os.path.commonpath(list(roots.values()))),
        sources=tuple(source.path for source in sources),
        split_of_source=tuple(splits.get(source.path, "") for source in sources),
        layout="windows" if first.columns.num_past else "frames",
        columns={n: c for s in reversed(sources) for n, c in s.columns.names().items()},
    )
    filler = _Filler(table)
    for source in sources:
        table.defects += source.defects
        filler.start(roots[source.path])
        for line, row in source.rows:
            filler.add(source, line, row, splits.get(source.path, ""))
    filler.finish()
    if not table.num_frames:
        names = ", ".join(str(source.path) for source in sources)
        raise DataError(f"{names}: no row with a sequence and files")
    return table


def resolve_path(root: Path, cell: str) -> str:
    """Return a path of a table relative to ``root``, in the way that finds a file.

    If none does, it is the one that keeps most of the table's rows.
    """
    parts = [part for part in re.split(r"[\\/]+", cell.strip()) if part not in ("", ".")]
    units = [i for i, part in enumerate(parts) if re.fullmatch(r"unit\d+", part.lower())]
    unit = units[-1] if units else 0
    absolute = cell.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", cell) is not None
    starts = [unit, max(unit - 1, 0)] if absolute else [0, unit, max(unit - 1, 0)]
    tried = ["/".join(parts[start:]) for start in starts]
    there = (name for name in tried if inside(root, root / name))
    return next((name for name in there if os.path.isfile(root / name)), tried[0])  # noqa: PTH113


def _root(source: Source) -> Path:
    """Return the folder that paths start from: that of the table, or the one above."""
    folder = source.path.absolute().parent
    columns = source.columns
    for _, row in source.rows[:20]:
        for kind in ("power", *SENSORS):
            cell = columns.single(row, kind)
            for root in (folder, folder.parent):
                file = root / resolve_path(root, cell)
                if cell and inside(root, file) and os.path.isfile(file):  # noqa: PTH113
                    return root
    return folder


class _Filler:
    """Turns rows into frames; in tables of windows, frames that appear again are found again."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._resolved: dict[str, str] = {}
        self._root = table.root
        self._scenes: dict[tuple[str, str], int] = {}
        self._owners: dict[tuple[int, int], str] = {}
        self._frames: dict[tuple[str, ...], int] = {}
        self._by_power: dict[tuple[int, str], int] = {}
        self._futures: list[tuple[int, list[str], str]] = []
        self._unnumbered: list[tuple[int, str, str]] = []

    def start(self, root: Path) -> None:
        """Begin with a table whose paths start from a folder."""
        if root != self._root:
            self._root = root
            self._resolved = {}

    def add(self, source: Source, line: int, row: Sequence[str], split: str) -> None:
        """Take one row; a table has sequences in all rows or in none."""
        place = source.place(line)
        number_text = source.columns.single(row, "sequence")
        number = _whole(number_text) if source.columns.has("sequence") else 0
        if number is None or not 0 <= number < SCENE_STEP:
            self._defect(
                "no sequence", place, f"sequence {number_text!r} is no number; row left out"
            )
            return
        split = split or source.columns.single(row, "split").lower()
        if source.columns.num_past:
            frame = self._window(source, place, row, number, split)
        else:
            frame = self._frame(source, place, row, number)
        if source.columns.has("sequence"):
            self._note_split(self._table.sequence[frame], split, place)
        else:
            self._unnumbered.append((frame, split, place))

    def finish(self) -> None:
        """Attach the beams after the windows, and what follows from all rows together."""
        table = self._table
        for window, names, place in self._futures:
            for slot, name in enumerate(names, start=1):
                table.slots[window][slot] = self._future_frame(window, name, place)
        for past in table.past:
            for before, after in pairwise(past):
                # A window without later positions keeps its last one.
                for kind in ("gps", "base"):
                    files = table.files[kind]
                    files[after] = files[after] or files[before]
        if self._unnumbered:
            self._join_windows()

    def _defect(self, kind: str, where: str, detail: str) -> None:
        self._table.defects.append(Defect(kind=kind, where=where, detail=detail))

    def _path(self, cell: str) -> str:
        if cell and cell not in self._resolved:
            found = resolve_path(self._root, cell)
            if self._root != self._table.root:
                found = (self._root.relative_to(self._table.root) / found).as_posix()
            self._resolved[cell] = found
        return self._resolved[cell] if cell else ""

    def _number(self, files: Frame, number: int, split: str = "") -> int:
        """Return the number of a sequence; scenarios in one table number theirs alike.

        Of windows, a split that has a number after another split has it anew.
        """
        name = next((files[kind] for kind in ("power", *SENSORS) if files.get(kind)), "")
        before = re.split(r"(?:^|/)unit\d+/", name)[0]
        scene = self._scenes.setdefault((before, ""), len(self._scenes))
        if split and self._owners.setdefault((scene, number), split) != split:
            self._table.shared.setdefault(split, set()).add(number + SCENE_STEP * scene)
            scene = self._scenes.setdefault((before, split), len(self._scenes))
        return number + SCENE_STEP * scene

    def _new(self, files: Frame, sequence: int, place: str) -> int:
        table = self._table
        for kind in KINDS:
            table.files[kind].append(files.get(kind, ""))
        table.places.append(place)
        table.sequence.append(sequence)
        table.label.append(None)
        table.condition.append(UNKNOWN_CONDITION)
        return table.num_frames - 1

    def _frame(self, source: Source, place: str, row: Sequence[str], number: int) -> int:
        """Return the frame of a row."""
        columns, table = source.columns, self._table
        files = {kind: self._path(columns.single(row, kind)) for kind in KINDS}
        frame = self._new(files, self._number(files, number), place)
        table.label[frame] = _whole(columns.single(row, "label"))
        condition = _whole(columns.single(row, "condition"))
        if condition is not None and condition in CONDITIONS.values():
            table.condition[frame] = condition
        return frame

    def _window(
        self, source: Source, place: str, row: Sequence[str], number: int, split: str
    ) -> int:
        """Return the last past frame of a row."""
        columns, table = source.columns, self._table
        count = columns.num_past
        positions = [
            {kind: self._path(columns.cell(row, kind, p)) for kind in KINDS}
            for p in range(1, count + 1)
        ]
        for files in positions:
            files["base"] = files["base"] or self._path(columns.cell(row, "base"))
        for kind in ("power", "gps"):
            positions[-1][kind] = positions[-1][kind] or self._path(columns.cell(row, kind))
        sequence = self._number(positions[-1], number, split)
        frames = [self._known(files, sequence, place) for files in positions]
        table.label[frames[-1]] = _whole(columns.single(row, "label"))
        table.past.append(([frames[0]] * NUM_PAST + frames)[-NUM_PAST:])
        table.slots.append([frames[-1]] + [-1] * (NUM_SLOTS - 1))
        futures = [self._path(columns.cell(row, "future", slot)) for slot in range(1, NUM_SLOTS)]
        self._futures.append((len(table.past) - 1, futures, place))
        return frames[-1]

    def _known(self, files: Frame, sequence: int, place: str) -> int:
        """Return the frame of these files; it is the same one in every window that has it."""
        own = [files[kind] for kind in SENSORS]
        identity = (str(sequence), *(own if any(own) else [files["power"], files["gps"]]))
        if identity not in self._frames:
            self._frames[identity] = self._new(files, sequence, place)
        frame = self._frames[identity]
        for kind in ("gps", "base", "power"):
            stored = self._table.files[kind]
            stored[frame] = stored[frame] or files[kind]
        if files["power"]:
            self._by_power.setdefault((sequence, files["power"]), frame)
        return frame

    def _future_frame(self, window: int, name: str, place: str) -> int:
        """Return the frame with this power file; one that no window looks back on is new."""
        if not name:
            return -1
        sequence = self._table.sequence[self._table.past[window][-1]]
        if (sequence, name) not in self._by_power:
            self._by_power[sequence, name] = self._new({"power": name}, sequence, place)
        return self._by_power[sequence, name]

    def _note_split(self, sequence: int, split: str, place: str) -> None:
        if not split:
            return
        if split not in SPLITS:
            raise DataError(f"{place}: split {split!r}, expected {', '.join(SPLITS)} or nothing")
        if self._table.split.setdefault(sequence, split) != split:
            raise DataError(
                f"{place}: sequence {sequence} is in {split} and in "
                f"{self._table.split[sequence]}; a sequence must be in one split"
            )

    def _join_windows(self) -> None:
        """Number sequences where no table does: windows that share a frame are of one."""
        table = self._table
        group = list(range(table.num_frames))

        def head(frame: int) -> int:
            while group[frame] != frame:
                group[frame] = group[group[frame]]
                frame = group[frame]
            return frame

        for past, slots in zip(table.past, table.slots, strict=True):
            for frame in (*past, *(slot for slot in slots if slot >= 0)):
                group[head(frame)] = head(past[0])
        numbers: dict[int, int] = {}
        for frame in range(table.num_frames):
            table.sequence[frame] = numbers.setdefault(head(frame), len(numbers))
        table.shared.clear()
        for frame, split, place in self._unnumbered:
            self._note_split(table.sequence[frame], split, place)


def _whole(text: str) -> int | None:
    """Return a whole number, also one that was written as 3.0; None for anything else."""
    try:
        number = float(text)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None
