"""The report's tables as headings and texts; the template only lays them out."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import pandas as pd

from analysis import format as text
from analysis import layout
from analysis.distillation import MethodGain, method_gains
from analysis.failures import group_failures, spoken, trials_named
from analysis.format import column_parts
from analysis.frames import SweepFrames
from analysis.front_rows import BEHIND, CHANCE, front_rows, near_rows, on_test
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
from analysis.ranking import records
from analysis.reference_names import labelled
from analysis.scores import known
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


Column: TypeAlias = tuple[Heading, Callable[[Any], Cell]]
"""A heading, and what makes the cell of a row below it."""


def laid_out(rows: Iterable[Any], columns: Sequence[Column]) -> HtmlTable:
    """Return a table with a line per row."""
    return HtmlTable(
        tuple(heading for heading, _ in columns),
        tuple(tuple(cell(row) for _, cell in columns) for row in rows),
    )


SHARES = {
    BEHIND: Heading("behind", "[% of range]"),
    CHANCE: Heading("on front", "chance [%], test"),
}
"""Headings of shares in rows of the front."""


def report_tables(frames: SweepFrames) -> dict[str, HtmlTable | None]:
    """Return all tables of the report, by their names in the template."""
    return {
        "gains": gains_table(frames),
        "front": front_table(frames),
        "near": near_table(frames),
        "trials": trials_table(frames),
        "stopped": stopped_table(frames),
        "references": references_table(frames),
        "reasons": reasons_table(frames.trials),
        "failures": failures_table(frames),
    }


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
    knee, tested = knee_trial(frames), any(row["test"] for row in rows)
    columns: list[Column] = [
        (Heading("trial"), lambda row: _front_number(row["trial"], knee)),
        *_kind_columns(frames, lambda row: {"method": row["method"], **row["searched"]}),
    ]
    for goal in frames.study.objectives:
        columns += _objective_columns(frames, goal) if tested else [_measured(frames, goal.metric)]
    columns += [
        (heading, partial(_share, key))
        for key, heading in SHARES.items()
        if any(row.get(key) is not None for row in rows)
    ]
    columns += _param_columns(frames, rows)
    columns += [_measured(frames, name) for name in cost_metrics(frames)]
    return laid_out(rows, columns)


def trials_table(frames: SweepFrames) -> HtmlTable:
    """Return every finished trial, in the order of the trials; infeasible ones have no rank."""
    rank = Heading("rank"), lambda row: number_cell(row["rank"])
    return _trials_table(frames, "COMPLETE", rank)


def stopped_table(frames: SweepFrames) -> HtmlTable | None:
    """Return the trials that were stopped early with their last numbers, None without any."""
    stopped = _trials_table(frames, "PRUNED", text_column("why", _reason))
    return stopped if stopped.rows else None


def _trials_table(frames: SweepFrames, state: str, second: Column) -> HtmlTable:
    found = (row for row in records(frames.trials) if row["state"] == state)
    rows = [{**row, "searched": searched_params(row, frames.study)} for row in found]
    columns: list[Column] = [
        (Heading("trial"), lambda row: number_cell(row["number"])),
        second,
        *_kind_columns(frames, _kinds),
        *(_measured(frames, objective.metric) for objective in frames.study.objectives),
        *_param_columns(frames, rows),
    ]
    return laid_out(rows, columns)


def _param_columns(frames: SweepFrames, rows: Sequence[dict[str, Any]]) -> list[Column]:
    varied = dict.fromkeys(name for row in rows for name in row["searched"])
    return [
        (Heading(name.replace("_", " "), numeric=False), partial(_param, name))
        for name in varied
        if name not in _kind_names(frames)
    ]


def _kind_names(frames: SweepFrames) -> tuple[str, ...]:
    """Return the columns of a trial's kind; the first sets the colour."""
    return (layout.TOPOLOGY, layout.METHOD) if by_topology(frames) else (layout.METHOD,)


def _kinds(row: Mapping[str, Any]) -> dict[str, Any]:
    return {layout.METHOD: method_of(row), layout.TOPOLOGY: topology_of(row)}


def _kind_columns(frames: SweepFrames, kinds: Callable[[Any], Mapping[str, Any]]) -> list[Column]:
    names = _kind_names(frames)

    def cell(name: str, row: Any) -> Cell:
        text = str(kinds(row).get(name, "none"))
        return Cell(text, text, text if name == names[0] else "")

    return [(Heading(name, numeric=False), partial(cell, name)) for name in names]


def gains_table(frames: SweepFrames) -> HtmlTable | None:
    """Return what each method gains over no distillation; None without a pair of students."""
    goal = frames.study.objectives[0]
    unit = goal.unit
    columns: list[Column] = [
        *_kind_columns(frames, lambda one: _kinds(one.pair.taught)),
        (Heading("trial"), lambda one: number_cell(one.pair.taught["number"])),
        (Heading("without teacher", "trial"), lambda one: number_cell(one.pair.plain["number"])),
        (_heading(goal.label, unit, "± 95 %"), lambda one: _interval(one.ours.interval, unit)),
        (
            _heading("without teacher", unit, "± 95 %"),
            lambda one: _interval(one.theirs.interval, unit),
        ),
        (
            _heading("gain", text.gap_unit(unit), "paired ± 95 %"),
            lambda one: Cell(text.interval(one.gain), one.gain.mean),
        ),
        (Heading("seeds"), lambda one: number_cell(one.gain.count)),
        text_column("split", lambda one: one.ours.split),
        text_column("“it helps”", _verdict),
    ]
    gains = method_gains(frames)
    return laid_out(gains, columns) if gains else None


def _verdict(one: MethodGain) -> str:
    return one.verdict + ("; the student without is larger" if one.pair.dearer else "")


def references_table(frames: SweepFrames) -> HtmlTable | None:
    """Return baselines and teachers with validation, test and costs; None if there are none."""
    rows = [
        {**row, "label": label, "kind": kind}
        for table, kind in ((frames.baselines, "baseline"), (frames.teachers, "teacher"))
        for label, row in zip(labelled(table, kind), records(table), strict=True)
    ]
    goals = frames.study.objectives
    wanted = [name for goal in goals for name in (goal.metric, test_metric(goal)) if name]
    columns = [
        text_column("name", lambda row: str(row["label"])),
        text_column("kind", lambda row: str(row["kind"])),
        *(
            _measured(frames, metric)
            for metric in dict.fromkeys([*wanted, *COSTS])
            if any(known(row, metric) is not None for row in rows)
        ),
    ]
    return laid_out(rows, columns) if rows else None


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
    columns: list[Column] = [
        (Heading("trials"), lambda one: number_cell(one.count)),
        (Heading("kind", numeric=False), lambda one: Cell(spoken(one.kind), one.kind)),
        text_column("reason", lambda one: str(one.reason)),
        (
            Heading("which", numeric=False),
            lambda one: Cell(trials_named(one), float(one.trials[0])),
        ),
    ]
    return laid_out(groups, columns) if groups else None


def failures_table(frames: SweepFrames) -> HtmlTable | None:
    """Return what failed (trials, teachers, confirmations) with reasons, None if nothing did."""
    tables = (frames.trials, frames.teachers, frames.baselines, frames.confirmations)
    failed = [row for rows in tables for row in failed_rows(rows)]

    def params(row: dict[str, Any]) -> str:
        method = {} if row.get("param.method") is None else {"method": row["param.method"]}
        return text.params(method | searched_params(row, frames.study))

    columns = [
        text_column("run", lambda row: str(row["key"] or row["name"]).replace("/", " ", 1)),
        text_column("reason", _reason),
        text_column("parameters", params),
    ]
    return laid_out(failed, columns) if failed else None


def text_column(title: str, words: Callable[[Any], str]) -> Column:
    """Return a column of texts."""
    return Heading(title, numeric=False), lambda row: Cell(words(row), words(row))


def _objective_columns(frames: SweepFrames, goal: Objective) -> list[Column]:
    """Return validation, and what was repeated on test where the objective has a metric there."""
    validation, metric = _measured(frames, goal.metric), test_metric(goal)
    if metric is None:
        return [validation]
    return [
        validation,
        (
            _heading(goal.label, goal.unit, "test ± 95 %"),
            lambda row: _interval(on_test(row, goal), goal.unit),
        ),
        (
            Heading("seeds", "test"),
            lambda row: number_cell(row["test"].get(metric, {"seeds": 0})["seeds"]),
        ),
    ]


def _measured(frames: SweepFrames, metric: str) -> Column:
    """Return a quality with two decimals, a cost as short as possible."""
    show = fixed_cell if metric.startswith((VALIDATION, TEST)) else number_cell
    heading = _heading(*COSTS.get(metric, (metric, "")))
    for goal in frames.study.objectives:
        if metric in (goal.metric, test_metric(goal)):
            note = split_label(goal) if metric == goal.metric else "test"
            heading = _heading(goal.label, goal.unit, note)
    return heading, lambda row: show(row.get(metric))


def _heading(title: str, unit: str, note: str = "") -> Heading:
    return Heading(title, f"[{unit}] {note}".strip() if unit else note)


def _front_number(number: int, knee: int | None) -> Cell:
    return Cell(f"{number} (knee)" if number == knee else str(number), float(number))


def number_cell(value: Any) -> Cell:
    """Return a number as short as possible, or that it is missing; missing ones sort last."""
    return Cell(text.number(value, 2), _sort_key(value))


def _sort_key(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else math.inf


def _reason(row: dict[str, Any]) -> str:
    return str(row["reason"] or "no reason was recorded")


def _share(key: str, row: dict[str, Any]) -> Cell:
    """Return a share as a whole number of percent."""
    value = row.get(key)
    return Cell(text.percent(value), -1.0 if value is None else value)


def fixed_cell(value: Any) -> Cell:
    """Return a number with two decimals, or that it is missing; missing ones sort last."""
    return Cell(text.fixed(value), _sort_key(value))


def _interval(value: Interval | None, unit: str) -> Cell:
    return Cell(text.tested(value, unit), math.inf if value is None else value.mean)


def _param(name: str, row: dict[str, Any]) -> Cell:
    value = row["searched"].get(name)
    if value is None:
        return Cell(text.MISSING, "")
    return Cell(text.param(value), value if isinstance(value, int | float) else str(value))
