"""What a folder of DeepSense 6G data holds: its tables, and the files that belong to each frame.

Three layouts are told apart by their columns. In a scenario's own table (1 to 9, 31 to 34) a row is
a frame. In tables of windows, as published code writes them, a row is 8 past frames and the beams
of 3 more. A row of the 2022 challenge is 5 frames and the beam of the last; it is filled up to 8
with its first frame, and the slots after t0 are unknown.

Nothing but tables is opened in here.
"""

import csv
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from kdtasks.errors import DataError
from kdtasks.scenarios.deepsense_columns import SENSORS, resolve_columns
from kdtasks.scenarios.deepsense_rows import fill_table
from kdtasks.scenarios.deepsense_table import Defect, Source, Table
from kdtasks.scenarios.splits import SPLITS

MAX_TABLE_BYTES = 256 * 2**20
"""Largest table that is read [bytes]; that of a scenario has some MB."""


def open_table(path: Path) -> Table:
    """Return the frames that a folder or a table holds.

    In a folder, tables called ``...train...``, ``...val...`` and ``...test...`` belong together;
    apart from these it must have one usable table. A column ``split`` may say for each row which
    split its sequence is in.

    Raises:
        DataError: If there is no table, none that can be used, or more than one.
    """
    if path.is_dir():
        sources = _choose(path)
    elif path.is_file():
        sources = [_source(path)]
        if reason := unusable(sources[0]):
            raise DataError(f"{path}: {reason}; columns: {', '.join(sources[0].columns.header)}")
    else:
        raise DataError(f"{path}: no such file or folder; give a scenario's folder or its CSV")
    return fill_table(sources, split_in_name if len(sources) > 1 else None)


def unusable(source: Source) -> str:
    """Return why no windows can come of a table; empty if they can."""
    columns = source.columns
    if not source.rows:
        return "it has no rows"
    if not columns.has("power"):
        return "no column of power files (unit1_pwr_60ghz, beam1 ...), so no beam is known"
    if not columns.has("gps") and not any(columns.has(kind) for kind in SENSORS):
        return "no column of camera, radar, LiDAR or GPS files"
    if not columns.num_past and not columns.has("sequence"):
        return "no column of sequences (seq_index), so no windows can be cut"
    return ""


def split_in_name(path: Path) -> str:
    """Return the split that a table's name speaks of; empty if none."""
    words = re.split(r"[^a-z]+", path.stem.lower())
    found = [name for name in SPLITS if name in words]
    return found[0] if len(found) == 1 else ""


def _choose(folder: Path) -> list[Source]:
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    if not tables:
        raise DataError(f"{folder}: no .csv table; give the folder that holds a scenario's CSV")
    sources, reasons = [], []
    for path in tables:
        source = _source(path)
        reason = unusable(source)
        if reason:
            reasons.append(f"{path.name}: {reason}")
        else:
            sources.append(source)
    if not sources:
        raise DataError(f"{folder}: none of its tables can be used: {'; '.join(reasons)}")
    names = [split_in_name(source.path) for source in sources]
    layouts = {source.columns.num_past for source in sources}
    # Tables of the same columns that differ in the split they name are one data set.
    if len(sources) > 1 and (len(set(names)) < len(names) or "" in names or len(layouts) > 1):
        shown = ", ".join(source.path.name for source in sources)
        raise DataError(f"{folder}: {len(sources)} tables ({shown}); give the path of one")
    return sources


def _source(path: Path) -> Source:
    facts = path.stat()
    return _read_source(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=8)
def _read_source(path: Path, size: int, _mtime_ns: int) -> Source:
    if size > MAX_TABLE_BYTES:
        raise DataError(f"{path}: {size} bytes, more than a table can have ({MAX_TABLE_BYTES})")
    lines: list[tuple[int, list[str]]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV table ({error})") from error
    if not lines:
        raise DataError(f"{path}: empty; expected a CSV table with a line of column names")
    header = lines[0][1]
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
