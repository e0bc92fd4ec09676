"""A paper's tables as headings, lines and texts, the same for the page and for the terminal."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis import format as text
from analysis.frames import SweepFrames
from analysis.report_tables import Cell, Heading, HtmlTable, fixed_cell, number_cell
from analysis.stats import Interval
from analysis.tables import Cell as Number
from analysis.tables import PaperRow, PaperTable, paper_tables
from analysis.words import JudgedWords, agreement_summary, judged_words
from search_spaces.report_spec import Column, Table

DETAIL = "here ± 95 %"

THOUSAND = 1000
"""Whole numbers from here on are counts; 3.00 may be a measurement."""


@dataclass(frozen=True, slots=True)
class Rating:
    """The paper's word and remark on one configuration; either may be empty."""

    word: str
    fact: str


@dataclass(frozen=True, slots=True)
class Line:
    """One metric over the configurations.

    Attributes:
        cells: Our number per configuration.
        notes: The paper's number per configuration, empty where it has none.
    """

    label: str
    cells: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """An aspect, the paper's ratings, if any, and metrics that measure it; the rest has no name."""

    name: str
    ratings: tuple[Rating, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class AspectTable:
    """A table in layout ``aspects``: one column per heading."""

    headings: tuple[str, ...]
    groups: tuple[Group, ...]


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
    return [_view(frames, table) for table in paper_tables(frames)]


def _view(frames: SweepFrames, table: PaperTable) -> PaperView:
    by_rows = table.table.layout == "rows"
    statements = tuple(judged_words(frames, table.table))
    return PaperView(
        spec=table.table,
        grid=_grid(table) if by_rows else None,
        aspects=None if by_rows else _aspects(table),
        statements=statements,
        agreement=agreement_summary(statements) if statements else "",
    )


def _grid(table: PaperTable) -> HtmlTable:
    """Return a line per row; the paper's number and the difference only where it has some."""
    headings = [Heading("", numeric=False)]
    published = [
        any(row.cells[index].paper is not None for row in table.rows)
        for index in range(len(table.table.columns))
    ]
    for column, known in zip(table.table.columns, published, strict=True):
        headings.append(Heading(column.label, DETAIL))
        if known:
            headings += [Heading("paper", column.label), Heading("difference", "here − paper")]
    headings.append(Heading("seeds"))
    rows = []
    for row in table.rows:
        cells = [Cell(row.row.label, row.row.label)]
        for column, number, known in zip(table.table.columns, row.cells, published, strict=True):
            cells += _number_cells(column, number, published=known)
        seeds = Cell(_seeds_text(row), float(min(_seeds(row), default=0)))
        rows.append((*cells, seeds, Cell(row.note, row.note)))
    if any(row.note for row in table.rows):
        return HtmlTable((*headings, Heading("note", numeric=False)), tuple(rows))
    return HtmlTable(tuple(headings), tuple(row[:-1] for row in rows))


def _number_cells(column: Column, number: Number, *, published: bool) -> list[Cell]:
    sort = math.inf if number.ours is None else number.ours.mean
    cells = [Cell(text.quantity(_count_alone(number.ours), column.unit), sort)]
    if not published:
        return cells
    if not column.unit:
        plain = number_cell if _counts(number) else fixed_cell
        return [*cells, plain(number.paper), plain(number.difference)]
    for value in (number.paper, number.difference):
        shown = text.MISSING if value is None else _single(value, column.unit)
        cells.append(Cell(shown, math.inf if value is None else value))
    return cells


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


def _single(value: float, unit: str) -> str:
    return text.quantity(Interval(value, None, 1), unit)


def _seeds(row: PaperRow) -> list[int]:
    return sorted({0 if cell.ours is None else cell.ours.count for cell in row.cells} - {0})


def _seeds_text(row: PaperRow) -> str:
    """Return the number of seeds, or the range if it depends on the metric, and of clusters."""
    seeds = _seeds(row)
    shown = "–".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))) if seeds else "0"
    groups = max((cell.ours.clusters for cell in row.cells if cell.ours is not None), default=1)
    return shown if groups in (1, *seeds) else f"{shown} in {groups} clusters"


def _aspects(table: PaperTable) -> AspectTable:
    """Return the transposed table; lines without an aspect, and the seeds, come last."""
    rows, spec = table.rows, table.table
    groups = [
        Group(aspect.name, _ratings(aspect.name, rows), tuple(_lines(table, aspect.name)))
        for aspect in spec.aspects
    ]
    rest = [*_lines(table, ""), _plain("seeds", map(_seeds_text, rows))]
    if any(row.note for row in rows):
        rest.append(_plain("note", (row.note for row in rows)))
    return AspectTable(tuple(row.row.label for row in rows), (*groups, Group("", (), tuple(rest))))


def _ratings(aspect: str, rows: Sequence[PaperRow]) -> tuple[Rating, ...]:
    specs = [row.row for row in rows]
    found = tuple(Rating(row.words.get(aspect, ""), row.facts.get(aspect, "")) for row in specs)
    return found if any(one.word or one.fact for one in found) else ()


def _lines(table: PaperTable, aspect: str) -> Iterable[Line]:
    for index, column in enumerate(table.table.columns):
        if column.aspect != aspect:
            continue
        numbers = [row.cells[index] for row in table.rows]
        yield Line(
            column.label,
            tuple(text.quantity(number.ours, column.unit) for number in numbers),
            tuple(
                "" if number.paper is None else f"paper {_single(number.paper, column.unit)}"
                for number in numbers
            ),
        )


def _plain(label: str, cells: Iterable[str]) -> Line:
    found = tuple(cells)
    return Line(label, found, ("",) * len(found))
