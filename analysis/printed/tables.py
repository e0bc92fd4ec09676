"""Which tables of a sweep a paper gets, as plain text in rows and columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import category

from analysis.frames import SweepFrames
from analysis.fronts import front_trials
from analysis.paper_view import Line, PaperView, paper_views
from analysis.report_tables import Heading, HtmlTable, front_table, near_table, references_table

MOST_LETTERS = 60
"""Of the name of a table's files."""

SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
"""Characters that end a line or stand for room within it."""

SPECIAL = "\\`*_{}[]<>#|~$"
"""Characters that Markdown, or HTML in it, would read as markup."""


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """A table as text, named as its files are, with a heading and a cell per column."""

    name: str
    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]


def sweep_tables(frames: SweepFrames) -> Iterator[PrintedTable]:
    """Yield the front, what is near it, the references and the study's own tables, if there."""
    goals = " and ".join(goal.label for goal in frames.study.objectives)
    if len(front_trials(frames)):
        caption = f"Front of {goals} in sweep {frames.name}; test: mean ± 95 % over seeds."
        yield _of_html("front", caption, front_table(frames))
    near, references = near_table(frames), references_table(frames)
    if near is not None:
        caption = f"Trials of sweep {frames.name} that were repeated though not on the front."
        yield _of_html("near", caption, near)
    if references is not None:
        yield _of_html("references", f"Baselines and teachers of {frames.name}.", references)
    taken: set[str] = set()
    for view in paper_views(frames):
        yield _of_view(view, _file_name(f"table-{view.spec.id}", taken))


def _file_name(text: str, taken: set[str]) -> str:
    """Return a name of a file in one folder for a text from a study, unlike all that are taken."""
    kept = "".join(one if one.isalnum() or one in "-_" else "-" for one in text)[:MOST_LETTERS]
    name, number = kept, 2
    while name.casefold() in taken:  # some file systems ignore case
        name, number = f"{kept}-{number}", number + 1
    taken.add(name.casefold())
    return name


def on_one_line(text: str) -> str:
    """Return text with spaces for its line breaks, without control and bidirectional characters."""
    spaced = text.translate(dict.fromkeys(map(ord, SPACES), " "))
    return "".join(one for one in spaced if not category(one).startswith("C"))


def _of_html(name: str, caption: str, table: HtmlTable) -> PrintedTable:
    rows = tuple(tuple(cell.text for cell in row) for row in table.rows)
    return PrintedTable(name, caption, table.headings, rows)


def _of_view(view: PaperView, name: str) -> PrintedTable:
    caption = f"{view.spec.title}."
    if view.grid is not None:
        return _of_html(name, caption, view.grid)
    assert view.aspects is not None
    titles = ("", *view.aspects.headings)
    headings = tuple(Heading(title, numeric=False) for title in titles)
    lines = (line for group in view.aspects.groups for line in group if line.cells)
    return PrintedTable(name, caption, headings, tuple(map(_line, lines)))


def _line(line: Line) -> tuple[str, ...]:
    """Return the paper's ratings of an aspect, or a metric that measures it."""
    if line.is_aspect:
        return (line.label, *(" ".join(filter(None, rating)) for rating in line.cells))
    return (line.label, *(f"{ours} ({paper})" if paper else ours for ours, paper in line.cells))


def escaped(text: str) -> str:
    """Return text so that Markdown prints it as it is, on one line."""
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in on_one_line(text))


def markdown(table: PrintedTable) -> str:
    """Return the table under its caption."""
    heads = [f"{heading.title} {heading.note}".strip() for heading in table.headings]
    marks = ["---:" if heading.numeric else ":---" for heading in table.headings]
    lines = [
        escaped(table.caption),
        "",
        _row([escaped(head) for head in heads]),
        _row(marks),
        *(_row([escaped(cell) for cell in row]) for row in table.rows),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
