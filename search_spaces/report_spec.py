"""What a report compares: the tables of a published paper, and the claims made from them."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StrictFloat, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import StudyError, choose_from
from search_spaces.fields import LEFT_OUT, Name, OrNull, Part, Scalar, Text, fill_in
from search_spaces.objectives import Direction

ClaimKind: TypeAlias = Literal["order", "not_worse", "interior", "apart"]

FEWEST_ROWS: Mapping[ClaimKind, int] = {"order": 2, "not_worse": 2, "interior": 3, "apart": 2}

DECIBEL = "dB"
"""Unit of metrics whose differences are ratios."""


@dataclass(frozen=True)
class Aspect(Part):
    """A group of lines in layout `aspects`: words of the paper and the metrics they describe."""

    name: Text
    words: tuple[Text, ...] = ()
    """From that for the least of the metrics to that for the most, whatever is better."""
    metrics: tuple[Text, ...] = ()
    """Columns that the words are compared with; needed if there are words."""
    factor: Annotated[StrictFloat, Field(ge=1)] = 2.0
    """Rows with the same word agree if they differ by at most this factor."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_unique(self.words, "words.{}")
        _check_unique(self.metrics, "metrics.{}")
        if bool(self.words) != bool(self.metrics):
            given, missing = ("words", "metrics") if self.words else ("metrics", "words")
            raise StudyError(f"are missing, but there are {given}; give both", place=missing)
        return self


@dataclass(frozen=True)
class Column(Part):
    """A metric shown in a table."""

    metric: Text
    """Name of the metric as stored, for example test_nmse_db."""
    label: Annotated[Text, OrNull()] = LEFT_OUT
    """Heading; with the unit, unless `unit` is given. The metric's name if left out."""
    unit: str = ""
    """Printed with every number; B, bit, FLOP, s and J get prefixes."""
    aspect: str = ""
    """The aspect that it measures, in layout `aspects`."""

    @model_validator(mode="after")
    def _label(self) -> Self:
        fill_in(self, label=self.label or self.metric)
        return self


@dataclass(frozen=True, kw_only=True)
class Row(Part):
    """A published number and how to find ours."""

    id: Text
    """Unique over all tables."""
    label: Annotated[Text, OrNull()] = LEFT_OUT
    """Text at the left; the id if left out."""
    role: Literal["teacher", "baseline", "trial", "confirmation"]
    """Kind of run that gives our numbers."""
    match: dict[Name, Scalar] = field(default_factory=dict)
    """Parameters that a run must have to belong to this row; "" for one that it must not have."""
    paper: dict[Text, StrictFloat] = field(default_factory=dict)
    """Published numbers by metric, in the unit of the column."""
    words: dict[Text, Text] = field(default_factory=dict)
    """Published words by aspect, compared with the numbers."""
    facts: dict[Text, Text] = field(default_factory=dict)
    """Published texts by aspect, printed only."""

    @model_validator(mode="after")
    def _label(self) -> Self:
        fill_in(self, label=self.label or self.id)
        return self


@dataclass(frozen=True, kw_only=True)
class Table(Part):
    """A published table, laid out beside ours."""

    id: Text
    title: str = ""
    source: str = ""
    """Where it was published."""
    layout: Literal["rows", "aspects"] = "rows"
    """`aspects` prints a column per row and a line per metric, grouped by aspect."""
    aspects: tuple[Aspect, ...] = ()
    """In the order of printing; only for layout `aspects`."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        metrics = [column.metric for column in self.columns]
        for index, row in enumerate(self.rows):
            for metric in row.paper:
                _check_column(metric, metrics, f"rows.{index}.paper")
        self._check_aspects()
        return self

    def _check_aspects(self) -> None:
        if self.aspects and self.layout == "rows":
            raise StudyError(
                "are printed by layout: aspects only; set that, or drop them", place="aspects"
            )
        _check_unique((aspect.name for aspect in self.aspects), "aspects.{}.name")
        aspects = {aspect.name: aspect for aspect in self.aspects}
        for index, column in enumerate(self.columns):
            if column.aspect:
                _check_aspect(column.aspect, aspects, f"columns.{index}.aspect")
        columns = {column.metric: column for column in self.columns}
        for index, aspect in enumerate(self.aspects):
            _check_measured(aspect, columns, f"aspects.{index}.metrics")
        for index, row in enumerate(self.rows):
            _check_words(row, aspects, f"rows.{index}")


@dataclass(frozen=True, kw_only=True)
class Claim(Part):
    """A statement about rows, judged on paired seeds and corrected for the claims of its table.

    Give exactly one of order, not_worse, interior and apart.
    """

    id: Text
    text: Text
    metric: Text
    direction: Direction | None = None
    """Which way the metric is better, where no objective says so; less, if left out."""
    order: tuple[Text, ...] | None = None
    """Each row strictly better than the next."""
    not_worse: tuple[Text, ...] | None = None
    """The first row at least as good as the second."""
    interior: tuple[Text, ...] | None = None
    """The row that is best on validation is neither first nor last, and beats these on test."""
    apart: tuple[Text, ...] | None = None
    """Each row better than the next, and their intervals do not overlap."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [kind for kind in FEWEST_ROWS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise StudyError(
                f"needs exactly one of {', '.join(FEWEST_ROWS)}, got {', '.join(given) or 'none'}"
            )
        fewest, exact = FEWEST_ROWS[self.kind], self.kind == "not_worse"
        if len(self.rows) < fewest or (exact and len(self.rows) > fewest):
            bound = "exactly" if exact else "at least"
            raise StudyError(f"needs {bound} {fewest} rows, got {list(self.rows)}", place=self.kind)
        _check_unique(self.rows, f"{self.kind}.{{}}")
        return self

    @property
    def kind(self) -> ClaimKind:
        """How it is judged: the one of the four lists that is given."""
        return next(kind for kind in FEWEST_ROWS if getattr(self, kind) is not None)

    @property
    def rows(self) -> tuple[str, ...]:
        """Row ids in the order of the statement."""
        rows: tuple[str, ...] = getattr(self, self.kind)
        return rows


@dataclass(frozen=True, kw_only=True)
class ReportSpec(Part):
    """A published paper's tables and claims."""

    tables: tuple[Table, ...] = ()
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_unique((table.id for table in self.tables), "tables.{}.id")
        _check_unique((claim.id for claim in self.claims), "claims.{}.id")
        known: set[str] = set()
        for number, table in enumerate(self.tables):
            for index, row in enumerate(table.rows):
                if row.id in known:
                    raise StudyError(
                        f"{row.id!r} is the id of an earlier row; rename it",
                        place=f"tables.{number}.rows.{index}.id",
                    )
                known.add(row.id)
        for index, claim in enumerate(self.claims):
            for name in claim.rows:
                if name not in known:
                    raise StudyError(
                        f"{name!r} is not the id of a row; {choose_from(name, known)}",
                        place=f"claims.{index}.{claim.kind}",
                    )
        return self


def _check_unique(names: Iterable[str], place: str) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise StudyError(
                f"{name!r} is used twice; rename or drop it", place=place.format(index)
            )
        seen.add(name)


def _check_column(metric: str, metrics: Iterable[str], place: str) -> None:
    if metric not in metrics:
        raise StudyError(
            f"{metric!r} is not a column of this table; {choose_from(metric, metrics)}", place=place
        )


def _check_aspect(name: str, aspects: Iterable[str], place: str) -> None:
    if name not in aspects:
        raise StudyError(
            f"{name!r} is not listed under the table's aspects; {choose_from(name, aspects)}",
            place=place,
        )


def _check_measured(aspect: Aspect, columns: Mapping[str, Column], place: str) -> None:
    for metric in aspect.metrics:
        _check_column(metric, columns, place)
        if metric.endswith("_db") and columns[metric].unit != DECIBEL:
            raise StudyError(
                f"{metric!r} is in decibels, so ratios are differences of it; give its column "
                f"unit: {DECIBEL}",
                place=place,
            )


def _check_words(row: Row, aspects: Mapping[str, Aspect], place: str) -> None:
    for name, word in row.words.items():
        _check_aspect(name, aspects, f"{place}.words")
        known = aspects[name].words
        if word not in known:
            raise StudyError(
                f"{word!r} is not one of the words of {name!r}; {choose_from(word, known)}; a text "
                "that is not compared belongs under facts",
                place=f"{place}.words",
            )
    for name in row.facts:
        _check_aspect(name, aspects, f"{place}.facts")
