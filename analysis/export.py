"""The front as files for other programs: JSON and Parquet."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.frames import SweepFrames
from analysis.front_rows import front_rows, near_rows, reference_rows
from analysis.fronts import front_trials, knee_echoes, knee_trial, split_label, test_metric

METADATA_KEY = b"kdsweep"
"""Key of the Parquet file's metadata: JSON with sweep, study and objectives."""


def describe(frames: SweepFrames) -> dict[str, Any]:
    """Return what the numbers of the front mean: sweep, study, objectives with units."""
    study = frames.study
    return {
        "sweep": frames.name,
        "study": study.name,
        "title": study.title,
        "task": study.task,
        "parameters": dict(study.parameters),
        "objectives": [
            {
                **asdict(objective),
                "split": split_label(objective) or None,
                "test_metric": test_metric(objective),
            }
            for objective in study.objectives
        ],
    }


def made(frames: SweepFrames) -> dict[str, Any]:
    """Return when and with what a sweep was run: versions, cores, end (UTC), wall time [s]."""
    environment = frames.environment
    packages = environment.get("packages", {})
    tables = (frames.trials, frames.teachers, frames.baselines, frames.confirmations)
    ends = [value for rows in tables for value in rows["ended_ms"] if pd.notna(value)]
    ended = datetime.fromtimestamp(max(ends) / 1000, UTC) if ends else None
    return {
        "version": packages.get("kdsweep"),
        "source": environment.get("source"),
        "python": environment.get("python"),
        "torch": packages.get("torch"),
        "cores": environment.get("cores"),
        "ended": ended and ended.isoformat(timespec="seconds"),
        "wall_time_s": frames.wall_time_s,
    }


def front_document(frames: SweepFrames) -> dict[str, Any]:
    """Return the description, one object per trial under ``front``, its knee, and what is beside.

    ``knee`` is the number of a member of the front (`analysis.knee.knee`); None without a front.
    ``knee_ignores`` has the objectives that it leaves out, each with the one ``like`` which it goes
    and their ``correlation`` over all trials that may be on the front. ``near`` has trials off the
    front that were repeated, ``references`` the teachers and baselines of its data.
    """
    return {
        **describe(frames),
        "knee": knee_trial(frames),
        "knee_ignores": [
            {
                "metric": echo.ignored.metric,
                "like": echo.kept.metric,
                "correlation": echo.correlation,
            }
            for echo in knee_echoes(frames)
        ],
        "front": front_rows(frames),
        "near": near_rows(frames),
        "references": reference_rows(frames, front_trials(frames)),
    }


def write_json(frames: SweepFrames, path: Path) -> None:
    """Write ``front_document`` as JSON."""
    text = json.dumps(front_document(frames), indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_parquet(frames: SweepFrames, path: Path) -> None:
    """Write the front as Parquet, one row per trial.

    Columns: ``trial``, ``method``, ``param.<name>``, objectives and costs under their metric's
    name, ``<test metric>.mean``, ``.half_width`` and ``.seeds``. The unit of an objective is in its
    column's metadata, the description of the sweep in the file's.
    """
    rows = [_flat(row) for row in front_rows(frames)]
    required = ["trial", "method", *(o.metric for o in frames.study.objectives)]
    names = list(dict.fromkeys([*required, *(name for row in rows for name in row)]))
    units = {o.metric: o.unit for o in frames.study.objectives}
    arrays = [_array(name, [row.get(name) for row in rows]) for name in names]
    fields = [
        pa.field(name, array.type, metadata={"unit": units[name]} if name in units else None)
        for name, array in zip(names, arrays, strict=True)
    ]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(describe(frames)).encode()})
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in row.items() if name not in ("searched", "test")}
    flat |= {f"param.{name}": value for name, value in row["searched"].items()}
    for metric, found in row["test"].items():
        flat |= {f"{metric}.{fact}": value for fact, value in found.items()}
    return flat


def _array(name: str, values: list[Any]) -> pa.Array:
    if name == "trial" or name.endswith(".seeds"):
        return pa.array(values, type=pa.int64())
    if name == "method":
        return pa.array(values, type=pa.string())
    if not name.startswith("param."):
        return pa.array(values, type=pa.float64())
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return pa.array(values, type=pa.float64())
    # a parameter may be a number in one trial and a word in the next; a column has one type
    return pa.array(values if len(kinds) <= 1 else [None if v is None else str(v) for v in values])
