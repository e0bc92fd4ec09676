"""What a report compares: the tables of a published paper, and the claims made from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from search_spaces.domains import Value
from search_spaces.errors import StudyError, choose_from

Role = Literal["teacher", "baseline", "trial", "confirmation"]
"""What kind of run a row is taken from."""

ClaimKind = Literal["order", "not_worse", "interior"]
"""``order``: each row strictly better than the next. ``not_worse``: the first row at least as
good as the second. ``interior``: the best row is neither the first nor the last."""

FEWEST_ROWS: Mapping[ClaimKind, int] = {"order": 2, "not_worse": 2, "interior": 3}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        metric: Name of the metric as stored, for example ``test_nmse_db``.
        label: Heading, with the unit.
    """

    metric: str
    label: str


@dataclass(frozen=True)
class Row:
    """One row: a published number and how to find ours.

    Attributes:
        id: Unique over all tables of the study.
        label: Text at the left.
        role: What kind of run gives our numbers.
        match: Parameters that such a run must have.
        paper: The published numbers by metric, in the unit of the column.
    """

    id: str
    label: str
    role: Role
    match: Mapping[str, Value]
    paper: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """A published table, laid out beside ours.

    Attributes:
        id: Short unique name, for example ``"II"``.
        title: Heading.
        source: Where it was published.
        columns: Metrics shown.
        rows: Configurations shown.
    """

    id: str
    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Claim:
    """A statement about rows, judged on paired seeds.

    Attributes:
        id: Unique among the claims.
        text: The statement in words.
        metric: The metric it is about.
        kind: How it is judged.
        rows: Row ids in the order of the statement.
    """

    id: str
    text: str
    metric: str
    kind: ClaimKind
    rows: tuple[str, ...]

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
        StudyError: If an id is used twice, a paper value has no column, or a claim names an
            unknown row.
    """

    tables: tuple[Table, ...] = ()
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        _check_unique((table.id for table in self.tables), "tables.{}.id")
        _check_unique((claim.id for claim in self.claims), "claims.{}.id")
        rows: set[str] = set()
        for table_index, table in enumerate(self.tables):
            _check_paper(table, f"tables.{table_index}")
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
