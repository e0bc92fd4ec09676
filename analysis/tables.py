"""A paper's tables beside ours: which runs make a row, and how far apart the numbers are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters import Repetition, Values, clustered_interval, repetitions
from analysis.errors import ResultsError
from analysis.frames import PARAM, SweepFrames
from analysis.ranking import column, records, where
from analysis.stats import Interval
from search_spaces.report_spec import Row, Table


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of ours, with its interval, beside one of the paper's; None if there is none."""

    ours: Interval | None
    paper: float | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in the unit of the column."""
        if self.ours is None or self.paper is None:
            return None
        return self.ours.mean - self.paper


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row of a table.

    Attributes:
        note: Why a row is empty or what to know about it; empty if nothing.
    """

    row: Row
    cells: tuple[Cell, ...]
    note: str


def paper_rows(frames: SweepFrames, table: Table) -> list[PaperRow]:
    """Return the rows of a table of the study's report, filled in with what was measured."""
    return [_paper_row(frames, table, row) for row in table.rows]


def described(frames: SweepFrames, table: Table) -> dict[str, Any]:
    """Return a table as plain data: means, half-widths, seeds, the paper's numbers."""
    return {
        "id": table.id,
        "title": table.title,
        "source": table.source,
        "columns": [column.metric for column in table.columns],
        "rows": [
            {
                "id": row.row.id,
                "label": row.row.label,
                "note": row.note,
                "cells": [
                    {"ours": None if cell.ours is None else asdict(cell.ours), "paper": cell.paper}
                    for cell in row.cells
                ],
            }
            for row in paper_rows(frames, table)
        ],
    }


def row_values(frames: SweepFrames, row: Row, metric: str) -> Values:
    """Return a row's metric by repetition.

    A teacher's seed is its ``teacher_seed``; a run without a seed counts as seed 0. A confirmation
    by the weights of its trial was measured on the test split alone; what else is asked for is
    that trial's.

    Raises:
        ResultsError: If two runs of one seed on the same data match, that is, ``match`` is too
            loose.
    """
    runs = matching_runs(frames, row)
    values: dict[Repetition, float] = {}
    found = zip(
        repetitions(records(runs), row.role), _column(frames, runs, row, metric), strict=True
    )
    for one, value in found:
        if not np.isfinite(value):
            continue
        if values.get(one, value) != value:
            raise ResultsError(
                f"row {row.id!r}: several {row.role} runs with seed {one.seed} match "
                f"{dict(row.match)}; they differ in {_varying(runs)}, so add that to `match`"
            )
        values[one] = float(value)
    return values


def matching_runs(frames: SweepFrames, row: Row) -> pd.DataFrame:
    """Return the finished runs of the row's role that have all its parameters."""
    runs = {
        "teacher": frames.teachers,
        "baseline": frames.baselines,
        "trial": frames.trials[frames.trials["state"] == "COMPLETE"],
        "confirmation": frames.confirmations,
    }[row.role]
    return where(runs, (_matches(run, row.match) for run in records(runs)))


def _matches(run: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    def given(name: str) -> Any:
        value = run.get(PARAM + name)
        return "" if value is None else value

    return all(given(name) == value for name, value in match.items())


def _column(frames: SweepFrames, runs: pd.DataFrame, row: Row, metric: str) -> NDArray[np.float64]:
    own = column(runs, metric)
    if row.role != "confirmation" or not np.isnan(own).any():
        return own
    trained = zip(records(frames.trials), column(frames.trials, metric), strict=True)
    seed = f"{PARAM}seed"
    known = {(run["number"], int(run.get(seed) or 0)): value for run, value in trained}
    trials = [known.get((run["number"], int(run.get(seed) or 0)), np.nan) for run in records(runs)]
    return np.where(np.isnan(own), trials, own)


def _varying(runs: pd.DataFrame) -> str:
    names = [
        str(name).removeprefix(PARAM)
        for name in runs.columns
        if str(name).startswith(PARAM) and runs[name].astype(str).nunique() > 1
    ]
    return ", ".join(name for name in names if name != "seed") or "nothing"


def _paper_row(frames: SweepFrames, table: Table, row: Row) -> PaperRow:
    cells, note = [], ""
    for wanted in table.columns:
        try:
            values = row_values(frames, row, wanted.metric)
        except ResultsError as error:
            values, note = {}, str(error)
        ours = clustered_interval(values) if values else None
        cells.append(Cell(ours, row.paper.get(wanted.metric)))
    if not note and all(cell.ours is None for cell in cells):
        note = "not measured"
    return PaperRow(row, tuple(cells), note)
