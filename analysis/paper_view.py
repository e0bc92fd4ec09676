"""A paper's tables as headings, lines and texts, the same for the page and for the terminal."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from analysis import format as text
from analysis.frames import SweepFrames
from analysis.report_tables import (
    Cell,
    Heading,
    HtmlTable,
    fixed_cell,
    laid_out,
    number_cell,
    text_column,
)
from analysis.report_tables import Column as HtmlColumn
from analysis.stats import Interval
from analysis.tables import Cell as Number
from analysis.tables import PaperRow, paper_rows
from analysis.words import JudgedWords, agreement_summary, judged_words
from search_spaces.report_spec import Column, Table

DETAIL = "here ± 95 %"

THOUSAND = 1000
"""Whole numbers from here on are counts; 3.00 may be a measurement."""


@dataclass(frozen=True, slots=True)
class Line:
    """An aspect, or a metric, over the configurations.

    Attributes:
        cells: Two texts per configuration, of which either may be empty: of an aspect the paper's
            word and remark, no cells if it has none; of a metric our number and the paper's.
    """

    label: str
    cells: tuple[tuple[str, str], ...]
    is_aspect: bool = False


@dataclass(frozen=True, slots=True)
class AspectTable:
    """A table in layout ``aspects``: one column per heading.

    Attributes:
        groups: An aspect and the metrics that measure it; last those of no aspect, and the seeds.
    """

    headings: tuple[str, ...]
    groups: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True)
class PaperView:
    """One of the paper's tables, ready to be printed.

    Attributes:
        grid: The table in layout ``rows``, else None.
        aspects: The table in layout ``aspects``, else None.
        agreement: How many of them agree; empty if there are none.
    """

    spec: Table
    grid: HtmlTable | None
    aspects: AspectTable | None
    statements: tuple[JudgedWords, ...]
    agreement: str

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"Table {self.spec.id}: {self.spec.title}"


def paper_views(frames: SweepFrames) -> list[PaperView]:
    """Return every table of the study's report with what was measured."""
    return [_view(frames, table) for table in frames.study.report.tables]


def _view(frames: SweepFrames, table: Table) -> PaperView:
    rows, by_rows = paper_rows(frames, table), table.layout == "rows"
    statements = tuple(judged_words(frames, table))
    return PaperView(
        spec=table,
        grid=_grid(table, rows) if by_rows else None,
        aspects=None if by_rows else _aspects(table, rows),
        statements=statements,
        agreement=agreement_summary(statements) if statements else "",
    )


def _grid(table: Table, rows: Sequence[PaperRow]) -> HtmlTable:
    """Return a line per row; the paper's number and the difference only where it has some."""
    columns = [text_column("", lambda row: str(row.row.label))]
    for index, column in enumerate(table.columns):
        found = _number_columns(column, index)
        published = any(row.cells[index].paper is not None for row in rows)
        columns += found if published else found[:1]
    columns.append((Heading("seeds"), _seeds))
    if any(row.note for row in rows):
        columns.append(text_column("note", lambda row: str(row.note)))
    return laid_out(rows, columns)


def _number_columns(column: Column, place: int) -> list[HtmlColumn]:
    """Return our number, the paper's and the difference."""

    def ours(row: PaperRow) -> Cell:
        found = row.cells[place].ours
        shown = text.quantity(_count_alone(found), column.unit)
        return Cell(shown, math.inf if found is None else found.mean)

    def published(name: str, row: PaperRow) -> Cell:
        value = getattr(row.cells[place], name)
        if not column.unit:
            return (number_cell if _counts(row.cells[place]) else fixed_cell)(value)
        return Cell(text.quantity(value, column.unit), math.inf if value is None else value)

    return [
        (Heading(column.label, DETAIL), ours),
        (Heading("paper", column.label), partial(published, "paper")),
        (Heading("difference", "here − paper"), partial(published, "difference")),
    ]


def _counts(number: Number) -> bool:
    """Return whether these are counts, as of parameters, and no measurements that are whole."""
    values = [number.paper, None if number.ours is None else number.ours.mean]
    known = [float(value) for value in values if value is not None]
    return any(abs(v) >= THOUSAND for v in known) and all(v.is_integer() for v in known)


def _count_alone(value: Interval | None) -> Interval | None:
    """Return a count that is the same for all seeds, as parameters are, without an interval."""
    if value is None or value.half_width != 0.0 or not value.mean.is_integer():
        return value
    return Interval(value.mean, None, value.count)


def _seeds(row: PaperRow) -> Cell:
    """Return the number of seeds, or the range if it depends on the metric, and of clusters."""
    found = [cell.ours for cell in row.cells if cell.ours is not None]
    seeds = sorted({one.count for one in found}) or [0]
    shown = "–".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    groups = max((one.clusters for one in found), default=1)
    whole = shown if groups in (1, *seeds) else f"{shown} in {groups} clusters"
    return Cell(whole, float(seeds[0]))


def _aspects(table: Table, rows: Sequence[PaperRow]) -> AspectTable:
    """Return the transposed table; lines without an aspect, and the seeds, come last."""
    groups = [
        (_rating(aspect.name, rows), *_lines(table, rows, aspect.name)) for aspect in table.aspects
    ]
    rest = [*_lines(table, rows, ""), Line("seeds", tuple((_seeds(row).text, "") for row in rows))]
    if any(row.note for row in rows):
        rest.append(Line("note", tuple((row.note, "") for row in rows)))
    return AspectTable(tuple(row.row.label for row in rows), (*groups, tuple(rest)))


def _rating(aspect: str, rows: Sequence[PaperRow]) -> Line:
    specs = [row.row for row in rows]
    cells = tuple((row.words.get(aspect, ""), row.facts.get(aspect, "")) for row in specs)
    return Line(aspect, cells if any(map(any, cells)) else (), is_aspect=True)


def _lines(table: Table, rows: Sequence[PaperRow], aspect: str) -> Iterator[Line]:
    for index, column in enumerate(table.columns):
        if column.aspect != aspect:
            continue
        numbers = [row.cells[index] for row in rows]
        papers = (
            "" if n.paper is None else f"paper {text.quantity(n.paper, column.unit)}"
            for n in numbers
        )
        ours = (text.quantity(number.ours, column.unit) for number in numbers)
        yield Line(column.label, tuple(zip(ours, papers, strict=True)))
