"""The report's tables as headings and texts; the template only lays them out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import format as text
from analysis import layout
from analysis.distillation import method_gains
from analysis.failures import group_failures, spoken, trials_named
from analysis.format import column_parts
from analysis.frames import SweepFrames
from analysis.front_rows import BEHIND, CHANCE, front_rows, near_rows
from analysis.fronts import (
    COSTS,
    TEST,
    VALIDATION,
    by_topology,
    cost_metrics,
    knee_trial,
    method_of,
    searched_params,
    split_label,
    test_metric,
    topology_of,
)
from analysis.ranking import column, records, where
from analysis.reference_names import labelled
from analysis.stats import Interval
from search_spaces.objectives import Objective

PAGE_ROOM, CELL_PADDING, TEXT_ROOM = 148, 2.2, 48
"""Room of a page, around a cell, and of a text before it is folded [characters]."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Head of a column: title, a second line (unit, split) and whether it holds numbers."""

    title: str
    note: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, its sort key, and the group that sets its colour."""

    text: str
    sort: float | str
    group: str = ""


@dataclass(frozen=True, slots=True)
class HtmlTable:
    """A table ready for the template."""

    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def parts(self) -> list[list[int]]:
        """Indices of columns per part, each part as wide as a page."""
        room = [
            max(
                max(map(len, head.title.split()), default=0),
                len(head.note),
                min(TEXT_ROOM, max((len(row[i].text) for row in self.rows), default=0)),
            )
            + CELL_PADDING
            for i, head in enumerate(self.headings)
        ]
        return column_parts([head.title for head in self.headings], room, PAGE_ROOM)


SHARES = {
    BEHIND: Heading("behind", "[% of range]"),
    CHANCE: Heading("on front", "chance [%], test"),
}
"""Headings of shares in rows of the front."""


def front_table(frames: SweepFrames) -> HtmlTable:
    """Return the front: trial, method, validation, test with interval, parameters, costs.

    After the objectives comes the chance that the mean of a repeated trial is on the front.
    Parameters come late, as they may be many and the page is narrow.
    """
    return _rows_table(frames, front_rows(frames))


def near_table(frames: SweepFrames) -> HtmlTable | None:
    """Return repeated trials off the front; None if there are none."""
    rows = near_rows(frames)
    return _rows_table(frames, rows) if rows else None


def _rows_table(frames: SweepFrames, rows: Sequence[dict[str, Any]]) -> HtmlTable:
    costs, goals, knee = cost_metrics(frames), frames.study.objectives, knee_trial(frames)
    shares = [head for key, head in SHARES.items() if any(r.get(key) is not None for r in rows)]
    kinds = _kind_names(frames)
    varied = dict.fromkeys(name for row in rows for name in row["searched"])
    names = [name for name in varied if name not in kinds]
    headings = [Heading("trial"), *(Heading(name, numeric=False) for name in kinds)]
    tested = any(row["test"] for row in rows)
    for goal in goals:
        headings += _objective_headings(goal) if tested else _objective_headings(goal)[:1]
    headings += [*shares, *_param_headings(names), *(_cost_heading(name) for name in costs)]
    return HtmlTable(
        tuple(headings),
        tuple(
            (
                _front_number(row["trial"], knee),
                *_kind_cells(kinds, {"method": row["method"], **row["searched"]}),
                *(cell for o in goals for cell in _objective_cells(o, row, tested=tested)),
                *(_share(row.get(key)) for key, head in SHARES.items() if head in shares),
                *(_param(row["searched"].get(name)) for name in names),
                *(number_cell(row[name]) for name in costs),
            )
            for row in rows
        ),
    )


def trials_table(frames: SweepFrames) -> HtmlTable:
    """Return every finished trial, in the order of the trials; infeasible ones have no rank."""
    return _trials_table(frames, _in_state(frames, "COMPLETE"), Heading("rank"))


def stopped_table(frames: SweepFrames) -> HtmlTable | None:
    """Return the trials that were stopped early with their last numbers, None without any."""
    stopped = _in_state(frames, "PRUNED")
    why = Heading("why", numeric=False)
    return _trials_table(frames, stopped, why) if len(stopped) else None


def _in_state(frames: SweepFrames, state: str) -> pd.DataFrame:
    return where(frames.trials, (found == state for found in frames.trials["state"]))


def _trials_table(frames: SweepFrames, trials: pd.DataFrame, second: Heading) -> HtmlTable:
    rows = records(trials)
    varied = dict.fromkeys(n for row in rows for n in searched_params(row, frames.study))
    kinds = _kind_names(frames)
    names = [name for name in varied if name not in kinds]
    headings = [Heading("trial"), second]
    headings += [Heading(name, numeric=False) for name in kinds]
    headings += [_objective_headings(objective)[0] for objective in frames.study.objectives]
    headings += _param_headings(names)
    return HtmlTable(tuple(headings), tuple(_trial_cells(frames, row, names) for row in rows))


def _trial_cells(
    frames: SweepFrames, row: dict[str, Any], names: Sequence[str]
) -> tuple[Cell, ...]:
    params = searched_params(row, frames.study)
    kinds = {"method": method_of(row), layout.TOPOLOGY: topology_of(row)}
    return (
        number_cell(int(row["number"])),
        _reason(row) if row["state"] == "PRUNED" else number_cell(row["rank"]),
        *_kind_cells(_kind_names(frames), kinds),
        *(_measured(o.metric, row.get(o.metric)) for o in frames.study.objectives),
        *(_param(params.get(name)) for name in names),
    )


def _param_headings(names: Sequence[str]) -> list[Heading]:
    return [Heading(name.replace("_", " "), numeric=False) for name in names]


def _kind_names(frames: SweepFrames) -> tuple[str, ...]:
    """Return the columns of a trial's kind; the first sets the colour."""
    return (layout.TOPOLOGY, layout.METHOD) if by_topology(frames) else (layout.METHOD,)


def _kind_cells(names: Sequence[str], values: dict[str, Any]) -> list[Cell]:
    texts = [str(values.get(name, "none")) for name in names]
    return [Cell(text, text, "" if index else text) for index, text in enumerate(texts)]


def gains_table(frames: SweepFrames) -> HtmlTable | None:
    """Return what each method gains over no distillation; None without a pair of students."""
    gains = method_gains(frames)
    if not gains:
        return None
    goal, kinds = frames.study.objectives[0], _kind_names(frames)
    unit = f"[{goal.unit}]" if goal.unit else ""
    headings = (
        *(Heading(name, numeric=False) for name in kinds),
        Heading("trial"),
        Heading("without teacher", "trial"),
        _heading(goal, "± 95 %"),
        Heading("without teacher", f"{unit} ± 95 %".strip()),
        Heading("gain", f"{f'[{text.gap_unit(goal.unit)}]' if unit else ''} paired ± 95 %".strip()),
        Heading("seeds"),
        Heading("split", numeric=False),
        Heading("“it helps”", numeric=False),
    )
    rows = []
    for one in gains:
        taught, plain = one.pair.taught, one.pair.plain
        number = int(plain["number"])
        verdict = one.verdict + ("; the student without is larger" if one.pair.dearer else "")
        rows.append(
            (
                *_kind_cells(kinds, {"method": method_of(taught), "topology": topology_of(taught)}),
                number_cell(int(taught["number"])),
                number_cell(number),
                _interval(one.ours.interval, goal.unit),
                _interval(one.theirs.interval, goal.unit),
                Cell(text.interval(one.gain), one.gain.mean),
                number_cell(one.gain.count),
                Cell(one.ours.split, one.ours.split),
                Cell(verdict, verdict),
            )
        )
    return HtmlTable(headings, tuple(rows))


def references_table(frames: SweepFrames) -> HtmlTable | None:
    """Return baselines and teachers with validation, test and costs; None if there are none."""
    kinds = ((frames.baselines, "baseline"), (frames.teachers, "teacher"))
    tables = [rows for rows, _ in kinds if len(rows)]
    if not tables:
        return None
    metrics = _reference_metrics(frames, tables)
    rows = [
        (
            Cell(name, name),
            Cell(kind, kind),
            *(_measured(m, row.get(m)) for m in metrics),
        )
        for table, kind in kinds
        for name, row in zip(labelled(table, kind), records(table), strict=True)
    ]
    headings = [Heading("name", numeric=False), Heading("kind", numeric=False)]
    return HtmlTable((*headings, *(_metric_heading(frames, m) for m in metrics)), tuple(rows))


def _reference_metrics(frames: SweepFrames, tables: Sequence[pd.DataFrame]) -> list[str]:
    wanted: list[str] = []
    for objective in frames.study.objectives:
        tested = test_metric(objective)
        wanted += [objective.metric] if tested is None else [objective.metric, tested]
    wanted = list(dict.fromkeys([*wanted, *COSTS]))
    return [m for m in wanted if any(np.isfinite(column(rows, m)).any() for rows in tables)]


def failed_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the runs of a table that failed; one that was interrupted did not."""
    return [
        row
        for row in records(table)
        if row["state"] == "FAIL" and row["failure"] != layout.FAILURE_INTERRUPTED
    ]


def reasons_table(trials: pd.DataFrame) -> HtmlTable | None:
    """Return why trials failed, a row per reason, the most frequent first; None if none did."""
    groups = group_failures(
        (str(row["failure"] or ""), str(row["reason"] or ""), int(row["number"]))
        for row in failed_rows(trials)
    )
    if not groups:
        return None
    texts = (Heading(title, numeric=False) for title in ("kind", "reason", "which"))
    rows = tuple(
        (
            number_cell(group.count),
            Cell(spoken(group.kind), group.kind),
            Cell(group.reason, group.reason),
            Cell(trials_named(group), float(group.trials[0])),
        )
        for group in groups
    )
    return HtmlTable((Heading("trials"), *texts), rows)


def failures_table(frames: SweepFrames) -> HtmlTable | None:
    """Return what failed (trials, teachers, confirmations) with reasons, None if nothing did."""
    tables = (frames.trials, frames.teachers, frames.baselines, frames.confirmations)
    failed = [row for rows in tables for row in failed_rows(rows)]
    if not failed:
        return None
    titles = ("run", "reason", "parameters")
    headings = tuple(Heading(title, numeric=False) for title in titles)
    rows = []
    for row in failed:
        method = {} if row.get("param.method") is None else {"method": row["param.method"]}
        params = text.params(method | searched_params(row, frames.study))
        name = str(row["key"] or row["name"]).replace("/", " ", 1)
        rows.append((Cell(name, name), _reason(row), Cell(params, params)))
    return HtmlTable(headings, tuple(rows))


def _objective_headings(objective: Objective) -> list[Heading]:
    headings = [_heading(objective, split_label(objective))]
    if test_metric(objective) is not None:
        headings += [_heading(objective, "test ± 95 %"), Heading("seeds", "test")]
    return headings


def _heading(objective: Objective, note: str) -> Heading:
    unit = f"[{objective.unit}]" if objective.unit else ""
    return Heading(objective.label, f"{unit} {note}".strip())


def _objective_cells(objective: Objective, row: dict[str, Any], *, tested: bool) -> list[Cell]:
    metric = test_metric(objective)
    cells = [_measured(objective.metric, row[objective.metric])]
    if tested and metric is not None:
        found = row["test"].get(metric)
        seeds = 0 if found is None else found["seeds"]
        value = None if found is None else Interval(found["mean"], found["half_width"], seeds)
        cells += [_interval(value, objective.unit), number_cell(seeds)]
    return cells


def _metric_heading(frames: SweepFrames, metric: str) -> Heading:
    for objective in frames.study.objectives:
        if metric == objective.metric:
            return _heading(objective, split_label(objective))
        if metric == test_metric(objective):
            return _heading(objective, "test")
    return _cost_heading(metric)


def _cost_heading(metric: str) -> Heading:
    label, unit = COSTS.get(metric, (metric, ""))
    return Heading(label, f"[{unit}]" if unit else "")


def _front_number(number: int, knee: int | None) -> Cell:
    return Cell(f"{number} (knee)" if number == knee else str(number), float(number))


def number_cell(value: Any) -> Cell:
    """Return a number as short as possible, or that it is missing; missing ones sort last."""
    return Cell(text.number(value, 2), _sort_key(value))


def _sort_key(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else math.inf


def _reason(row: dict[str, Any]) -> Cell:
    reason = str(row["reason"] or "no reason was recorded")
    return Cell(reason, reason)


def _share(value: float | None) -> Cell:
    """Return a share as a whole number of percent."""
    return Cell(text.percent(value), -1.0 if value is None else value)


def _measured(metric: str, value: Any) -> Cell:
    """Return a quality with two decimals, a cost as short as possible."""
    return fixed_cell(value) if metric.startswith((VALIDATION, TEST)) else number_cell(value)


def fixed_cell(value: Any) -> Cell:
    """Return a number with two decimals, or that it is missing; missing ones sort last."""
    return Cell(text.fixed(value), _sort_key(value))


def _interval(value: Interval | None, unit: str) -> Cell:
    return Cell(text.tested(value, unit), math.inf if value is None else value.mean)


def _param(value: Any) -> Cell:
    if value is None:
        return Cell(text.MISSING, "")
    return Cell(text.param(value), value if isinstance(value, int | float) else str(value))
