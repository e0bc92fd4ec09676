"""What a folder of DeepSense 6G data holds: its tables, and the files that belong to each frame.

Three layouts are told apart by their columns. In a scenario's own table (1 to 9, 31 to 34) a row is
a frame. In tables of windows, as published code writes them, a row is 8 past frames and the beams
of 3 more. A row of the 2022 challenge is 5 frames and the beam of the last; it is filled up to 8
with its first frame, and the slots after t0 are unknown.

Nothing but tables is opened in here.
"""

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from kdtasks.contract.error_text import printable
from kdtasks.contract.errors import DataError
from kdtasks.data.reading import damage_named
from kdtasks.sensing.deepsense.leaks import shared_with_training
from kdtasks.sensing.deepsense.published_splits import choose
from kdtasks.sensing.deepsense.rows import fill_table
from kdtasks.sensing.deepsense.table import Defect, Source, Table, resolve_columns

MAX_TABLE_BYTES = 256 * 2**20
"""Largest table that is read [bytes]; that of a scenario has some MB."""


def open_table(path: Path) -> Table:
    """Return the frames that a folder or a table holds.

    Tables that are a published split belong together, see `deepsense_splits`, in a folder as well
    as when one of them is given; apart from these a folder must have one usable table. A column
    ``split`` may say for each row which split its sequence is in.

    Raises:
        DataError: If there is no table, none that can be used, or it is not clear which is meant.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give a scenario's folder or its CSV")
    chosen = choose(path, _source)
    table = fill_table(chosen.sources, chosen.splits)
    table.notes += [*chosen.notes, *shared_with_training(table)]
    return table


def _source(path: Path) -> Source:
    facts = path.stat()
    return _read_source(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _read_source(path: Path, size: int, _mtime_ns: int) -> Source:
    if size > MAX_TABLE_BYTES:
        raise DataError(f"{path}: {size} bytes, more than a table can have ({MAX_TABLE_BYTES})")
    lines: list[tuple[int, list[str]]] = []
    with (
        damage_named(path, "give a CSV table"),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        reader = csv.reader(file)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    if not lines:
        raise DataError(f"{path}: empty; expected a CSV table with a line of column names")
    header = [printable(name) for name in lines[0][1]]
    rows, defects = [], []
    for line, row in lines[1:]:
        cells = _fitted(row, len(header))
        if cells is None:
            detail = f"{len(row)} cells under {len(header)} names; left out"
            defects.append(Defect(kind="torn row", where=f"{path.name} line {line}", detail=detail))
        else:
            rows.append((line, cells))
    columns = resolve_columns(header, rows[0][1] if rows else [], str(path))
    return Source(path=path, columns=columns, rows=rows, defects=defects)


def _fitted(row: Sequence[str], count: int) -> Sequence[str] | None:
    """Return a row without empty cells that are too many; None if it has another length."""
    return row[:count] if len(row) >= count and not any(row[count:]) else None
