"""Feasibility and rank of trials by the study's objectives."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.pareto import sweep_ranks
from search_spaces.study import Study


def feasible_mask(trials: pd.DataFrame, study: Study) -> NDArray[np.bool_]:
    """Return which trials may be on the front, shape [n].

    They are finished, have every objective as a finite number and keep every constraint.
    """
    mask = np.array(trials["state"] == "COMPLETE", dtype=np.bool_)
    for objective in study.objectives:
        mask &= np.isfinite(column(trials, objective.metric))
    for constraint in study.constraints:
        values = column(trials, constraint.metric)
        kept = [not math.isnan(v) and constraint.violation(v) <= 0.0 for v in values]
        mask &= np.asarray(kept, dtype=np.bool_)
    return mask


def rank_trials(trials: pd.DataFrame, study: Study) -> list[int | None]:
    """Return the rank of every trial, 0 on the front; None for a trial that is not feasible."""
    mask = feasible_mask(trials, study)
    values = objective_values(trials[mask], study)
    found = iter(sweep_ranks(values, study.objectives).tolist())
    return [int(next(found)) if feasible else None for feasible in mask]


def objective_values(rows: pd.DataFrame, study: Study) -> NDArray[np.float64]:
    """Return the objectives of the rows in their own units, shape [n, m]; NaN where missing."""
    columns = [column(rows, objective.metric) for objective in study.objectives]
    return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))


def column(rows: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return one metric as floats, shape [n]; all NaN if no run reported it."""
    if name not in rows:
        return np.full(len(rows), np.nan)
    return np.asarray(rows[name], dtype=np.float64)


def where(rows: pd.DataFrame, keep: Iterable[bool]) -> pd.DataFrame:
    """Return the rows that are kept; unlike plain indexing also right for a table without rows."""
    return rows[np.fromiter(keep, dtype=np.bool_, count=len(rows))]


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dicts with text keys; integers stay integers in object columns."""
    names = [str(name) for name in rows.columns]
    # the same as rows.to_dict("records") in half the time, which a report takes a hundred times
    columns = [rows[name].tolist() for name in rows.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
