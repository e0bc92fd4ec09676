"""What a report compares: the tables of a published paper, and the claims made from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from search_spaces.domains import Value
from search_spaces.errors import StudyError, choose_from

Role = Literal["teacher", "baseline", "trial", "confirmation"]
"""What kind of run a row is taken from."""

Layout = Literal["rows", "aspects"]
"""How a table is printed. ``rows``: a line per row, columns per metric. ``aspects``: transposed, a
column per row and a line per metric, with words, grouped by aspect."""

ClaimKind = Literal["order", "not_worse", "interior", "apart"]
"""``order``: each row strictly better than the next. ``not_worse``: the first row at least as
good as the second. ``interior``: the best row is neither the first nor the last. ``apart``: each
row better than the next, and their intervals do not overlap."""

Direction = Literal["minimize", "maximize"]

FEWEST_ROWS: Mapping[ClaimKind, int] = {
    "order": 2,
    "not_worse": 2,
    "interior": 3,
    "apart": 2,
}


DECIBEL = "dB"
"""Unit of metrics whose differences are ratios."""


@dataclass(frozen=True)
class Aspect:
    """One thing that a table says in words, and the metrics that the words speak about.

    Attributes:
        name: What is spoken about, for example ``Communications overhead``.
        words: From that for the least of the metrics to that for the most, whatever is better:
            ``(High, Low)`` for privacy measured by samples that leave. May be empty.
        metrics: Columns of the table that measure it; empty exactly if there are no words.
        factor: Rows with the same word are alike if they are at most so many times apart.

    Raises:
        StudyError: If there are words without metrics or metrics without words, a word is there
            twice, or the factor lies below 1.
    """

    name: str
    words: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    factor: float = 2.0

    def __post_init__(self) -> None:
        _check_unique(self.words, "words.{}")
        _check_unique(self.metrics, "metrics.{}")
        if bool(self.words) != bool(self.metrics):
            given, missing = ("words", "metrics") if self.words else ("metrics", "words")
            raise StudyError(f"are missing, but there are {given}; give both", place=missing)
        if self.factor < 1.0:
            raise StudyError(f"must be at least 1, got {self.factor:g}", place="factor")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        metric: Name of the metric as stored, for example ``test_nmse_db``.
        label: Heading; with the unit, unless ``unit`` is given.
        unit: Unit of the metric, printed with every number; B, bit, FLOP, s and J get prefixes.
        aspect: What the metric belongs to in layout ``aspects``; empty for nothing.
    """

    metric: str
    label: str
    unit: str = ""
    aspect: str = ""


@dataclass(frozen=True)
class Row:
    """One row: a published number and how to find ours.

    Attributes:
        id: Unique over all tables of the study.
        label: Text at the left.
        role: What kind of run gives our numbers.
        match: Parameters that such a run must have; an empty text: that it must not have.
        paper: The published numbers by metric, in the unit of the column.
        words: The published words by aspect, each of the aspect's words.
        facts: What else is published, by aspect; printed after the word.
    """

    id: str
    label: str
    role: Role
    match: Mapping[str, Value]
    paper: Mapping[str, float]
    words: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A published table, laid out beside ours.

    Attributes:
        id: Short unique name, for example ``"II"``.
        title: Heading.
        source: Where it was published.
        columns: Metrics shown.
        rows: Configurations shown.
        layout: How it is printed.
        aspects: Groups of lines in layout ``aspects``, in the order of printing.
    """

    id: str
    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    layout: Layout = "rows"
    aspects: tuple[Aspect, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A statement about rows, judged on paired seeds.

    Attributes:
        id: Unique among the claims.
        text: The statement in words.
        metric: The metric it is about.
        direction: Which way that is better; None for what an objective says of it, or else less.
        kind: How it is judged.
        rows: Row ids in the order of the statement.
    """

    id: str
    text: str
    metric: str
    kind: ClaimKind
    rows: tuple[str, ...]
    direction: Direction | None = None

    def __post_init__(self) -> None:
        fewest = FEWEST_ROWS[self.kind]
        if len(self.rows) < fewest or (self.kind == "not_worse" and len(self.rows) > fewest):
            bound = "exactly" if self.kind == "not_worse" else "at least"
            raise StudyError(f"needs {bound} {fewest} rows, got {list(self.rows)}", place=self.kind)
        _check_unique(self.rows, f"{self.kind}.{{}}")


@dataclass(frozen=True)
class ReportSpec:
    """Tables and claims of a study; both may be empty.

    Attributes:
        tables: Published tables.
        claims: Statements about their rows.

    Raises:
        StudyError: If an id is used twice, a paper value has no column, a claim names an unknown
            row, or words do not fit the table's aspects.
    """

    tables: tuple[Table, ...] = ()
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        _check_unique((table.id for table in self.tables), "tables.{}.id")
        _check_unique((claim.id for claim in self.claims), "claims.{}.id")
        rows: set[str] = set()
        for table_index, table in enumerate(self.tables):
            _check_paper(table, f"tables.{table_index}")
            _check_aspects(table, f"tables.{table_index}")
            for row_index, row in enumerate(table.rows):
                place = f"tables.{table_index}.rows.{row_index}.id"
                if row.id in rows:
                    raise StudyError(
                        f"{row.id!r} is the id of an earlier row; rename it", place=place
                    )
                rows.add(row.id)
        for index, claim in enumerate(self.claims):
            for name in claim.rows:
                if name not in rows:
                    raise StudyError(
                        f"{name!r} is not the id of a row; {choose_from(name, rows)}",
                        place=f"claims.{index}.{claim.kind}",
                    )


def _check_unique(names: Iterable[str], place: str) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise StudyError(
                f"{name!r} is used twice; rename or drop it", place=place.format(index)
            )
        seen.add(name)


def _check_paper(table: Table, place: str) -> None:
    metrics = {column.metric for column in table.columns}
    for index, row in enumerate(table.rows):
        for metric in row.paper:
            if metric not in metrics:
                raise StudyError(
                    f"{metric!r} is no column of this table; {choose_from(metric, metrics)}",
                    place=f"{place}.rows.{index}.paper",
                )


def _check_aspects(table: Table, place: str) -> None:
    if table.aspects and table.layout == "rows":
        raise StudyError(
            "are printed by layout: aspects only; set that, or drop them", place=f"{place}.aspects"
        )
    _check_unique((aspect.name for aspect in table.aspects), f"{place}.aspects.{{}}.name")
    aspects = {aspect.name: aspect for aspect in table.aspects}
    for index, column in enumerate(table.columns):
        if column.aspect:
            _check_listed(column.aspect, aspects, f"{place}.columns.{index}.aspect")
    for index, aspect in enumerate(table.aspects):
        _check_measured(aspect, table, f"{place}.aspects.{index}.metrics")
    for index, row in enumerate(table.rows):
        _check_words(row, aspects, f"{place}.rows.{index}")


def _check_listed(name: str, aspects: Iterable[str], place: str) -> None:
    if name not in aspects:
        raise StudyError(
            f"{name!r} is not listed under the table's aspects; {choose_from(name, aspects)}",
            place=place,
        )


def _check_measured(aspect: Aspect, table: Table, place: str) -> None:
    columns = {column.metric: column for column in table.columns}
    for metric in aspect.metrics:
        if metric not in columns:
            raise StudyError(
                f"{metric!r} is no column of this table; {choose_from(metric, columns)}",
                place=place,
            )
        if metric.endswith("_db") and columns[metric].unit != DECIBEL:
            raise StudyError(
                f"{metric!r} is in decibels, so ratios are differences of it; give its column "
                f"unit: {DECIBEL}",
                place=place,
            )


def _check_words(row: Row, aspects: Mapping[str, Aspect], place: str) -> None:
    for name, word in row.words.items():
        _check_listed(name, aspects, f"{place}.words")
        known = aspects[name].words
        if word not in known:
            raise StudyError(
                f"{word!r} is none of the words of {name!r}; {choose_from(word, known)}; a text "
                "that is not compared belongs under facts",
                place=f"{place}.words",
            )
    for name in row.facts:
        _check_listed(name, aspects, f"{place}.facts")
