"""A sweep's results in one Parquet file: a row per run, the sweep's own first.

The file repeats what the ledger has, so that a command need not read that, and for other programs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import layout

LEDGER = b"kdsweep.ledger"
"""Key of the file's metadata: SHA-256 of the ledger that it repeats."""

MOST_BYTES = 2**30
"""Largest file that is read, also when it is unpacked."""

AT_ONCE = 500
"""Runs that are in memory at once while a file is written; all would be most of a long sweep's."""

Curve = Sequence[tuple[int, float]]
"""Pairs (epoch, value), ascending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRun:
    """One run: the sweep, or a trial, teacher, baseline or confirmation of it.

    Attributes:
        ended_ms: When it ended, in milliseconds since 1970; None while it runs.
        tags: As in MLflow, see `analysis.layout`.
        metrics: The last value of each metric.
        curves: What was reported of some metrics.
        texts: Of the sweep's run: attached text files, by name.
    """

    name: str
    started_ms: int | None
    ended_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


_TEXTS = pa.map_(pa.string(), pa.string())
_POINTS = pa.list_(pa.struct([("epoch", pa.int64()), ("value", pa.float64())]))
_SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "started_ms": pa.int64(),
        "ended_ms": pa.int64(),
        "tags": _TEXTS,
        "params": _TEXTS,
        "metrics": pa.map_(pa.string(), pa.float64()),
        "curves": pa.map_(pa.string(), _POINTS),
        "texts": _TEXTS,
    }
)


def write_runs(path: Path, runs: Iterable[RecordedRun], ledger: str) -> None:
    """Write runs; ``ledger`` is the SHA-256 of the ledger from which they are."""
    schema = _SCHEMA.with_metadata({LEDGER: ledger})
    rows = map(_row, runs)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as file:
        while some := list(islice(rows, AT_ONCE)):
            file.write_table(pa.Table.from_pylist(some, schema))


def _row(run: RecordedRun) -> dict[str, object]:
    curves = {name: [*map(tuple, points)] for name, points in run.curves.items()}
    return {**{name: getattr(run, name) for name in _SCHEMA.names}, "curves": curves}


def read_runs(
    path: Path, ledger: str | None, *, all_curves: bool = False
) -> list[RecordedRun] | None:
    """Return the runs in a file, with curves of those on the front.

    None if it is missing, damaged, or not of this ledger (None: any).
    """
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema, groups = file.schema_arrow, range(file.num_row_groups)
            size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
            known = (schema.metadata or {}).get(LEDGER)
            same = ledger is None or known == ledger.encode()
            if not same or not schema.equals(_SCHEMA) or size > MOST_BYTES:
                return None
            return list(_runs(file.read(), all_curves=all_curves)) or None
    except (OSError, ValueError, KeyError):  # pyarrow's errors are among them
        return None


def _runs(table: pa.Table, *, all_curves: bool) -> Iterator[RecordedRun]:
    curves = table["curves"]
    for number, row in enumerate(table.drop(["curves"]).to_pylist(maps_as_pydicts="strict")):
        found = {}
        if all_curves or row["tags"].get(layout.ON_FRONT) == "true":  # they are most of the file
            entries = dict(curves[number].as_py())
            found = {name: [(p["epoch"], p["value"]) for p in entries[name]] for name in entries}
        yield RecordedRun(**row, curves=found)
