"""Output of commands: tables for terminals and logs."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kdtasks.contract.error_text import printable
from search_spaces.objectives import Objective
from sweeps.progress.terminal import KEPT

LOG_WIDTH = 200
"""Width of tables without a terminal [characters]."""


PADDING = 2
"""Space between columns [characters]."""


LABEL_WIDTH, CELL_WIDTH = 28, 16
"""Width of a transposed table's first column and of the others [characters]."""

MOST_REFERENCES = 8
"""Teachers and baselines below a front; the report has all."""

TEXT_WIDTH = 40
"""Width of a column beyond which its texts are folded between words [characters]."""


def _console() -> Console:
    """Return the terminal; without one a wide output without control codes."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=LOG_WIDTH, color_system=None, force_terminal=False)


def show(table: Table) -> None:
    """Print a table; without a terminal, wide and without control codes."""
    _console().print(table)


def line(text: str = "") -> None:
    """Print one line."""
    sys.stdout.write(printable(text, keep=KEPT) + "\n")


def show_json(document: object, indent: int | None = 2) -> None:
    """Print a document as JSON, in which a dataclass is an object of its fields."""
    line(json.dumps(document, indent=indent, default=asdict))


def cell(text: str, style: str = "") -> Text:
    """Return a printable cell; every text of a study or sweep passes through here."""
    return Text(printable(text, keep=KEPT), style=style)


def show_wide(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of text, split into parts if the terminal is too narrow."""
    for index, table in enumerate(_parts(columns, rows, _console().width)):
        if index:
            line()
        show(table)


def _parts(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Table]:
    room = _room(columns, rows)
    for part in fitting(columns, rows, width):
        table = plain_table([columns[i] for i in part], [[row[i] for i in part] for row in rows])
        left = width - sum(room[i] for i in part)
        # rich would shrink the widest column, also within words; texts, which are last, grow first
        for column, i in reversed([*zip(table.columns, part, strict=True)]):
            whole = max(cell_len(cell) for cell in (columns[i], *(row[i] for row in rows)))
            more = max(0, min(left, whole + PADDING - room[i]))
            column.width, left = room[i] - PADDING + more, left - more
        yield table


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of text; columns of numbers are aligned to the right."""
    table = Table(box=None, padding=(0, PADDING, 0, 0), pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows)
        table.add_column(cell(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(text) for text in row))
    return table


def facts_table(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return names and what is known of each as a table of two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, what in rows:
        table.add_row(cell(name), cell(what) if isinstance(what, str) else what)
    return table


def _is_number(cell: str) -> bool:
    return not cell.strip("–") or cell.lstrip("\N{MINUS SIGN}-<>")[:1].isdigit()


def objective_headings(goals: Sequence[Objective]) -> list[str]:
    """Return a heading per objective, followed by one of its test metric if there is one."""
    from analysis import format as text
    from analysis.fronts import split_label, test_metric

    headings = []
    for goal in goals:
        label = " ".join(part for part in (goal.label, split_label(goal)) if part)
        headings.append(text.with_unit(label, f"[{goal.unit}]") if goal.unit else label)
        if test_metric(goal):
            label = f"{goal.label} test, mean ± 95 %"
            headings.append(f"{label} [{goal.unit}]" if goal.unit else label)
    return headings


def show_front(frames: Any) -> None:
    """Print the front of a sweep with its test results, best first objective first.

    Teachers and baselines of the same data follow.
    """
    from analysis.front_rows import front_rows, reference_rows
    from analysis.fronts import front_trials
    from analysis.summary import summary

    if rows := front_rows(frames):
        references = reference_rows(frames, front_trials(frames))
        _show_rows(frames, rows, references[:MOST_REFERENCES])
        if more := len(references[MOST_REFERENCES:]):
            line(f"and {more} more teachers and baselines, in the report")
    else:
        line(summary(frames)[0])


def show_notes(frames: Any) -> None:
    """Print how to read the front."""
    from analysis.front_rows import front_notes

    for note in front_notes(frames):
        line(note)


def show_near(frames: Any) -> None:
    """Print the repeated trials that are not on the front, if there are any."""
    from analysis.front_rows import near_rows

    if rows := near_rows(frames):
        line()
        line("also repeated; behind the front on validation by this share of its range:")
        _show_rows(frames, rows)


def _show_rows(
    frames: Any, found: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]] = ()
) -> None:
    from analysis import format as text
    from analysis.front_rows import BEHIND, CHANCE, on_test
    from analysis.fronts import knee_trial, test_metric

    goals, knee = frames.study.objectives, knee_trial(frames)
    titles = {BEHIND: "behind [%]", CHANCE: "on front [%]"}
    shares = [name for name in titles if any(row.get(name) is not None for row in found)]
    columns = ["trial", "method", *objective_headings(goals)]
    columns += [*(titles[name] for name in shares), "parameters"]
    rows = []
    for row in [*found, *references]:
        number = row.get("trial")
        mark = " (knee)" if number == knee else ""
        cells = [f"{text.number(number)}{mark}", row["method"]]
        for goal in goals:
            cells.append(text.number(row[goal.metric]))
            if test_metric(goal):
                cells.append(text.tested(on_test(row, goal), goal.unit))
        cells += [text.percent(row.get(name)) for name in shares]
        rows.append([*cells, text.params(row.get("searched", {}), " ")])
    show_wide(columns, rows)


def paper_tables(view: Any, width: int) -> list[Table]:
    """Return one table of a paper with our numbers, in parts if it is too wide."""
    if view.grid is None:
        number = len(view.aspects.headings)
        parts = -(-number // max(1, (width - LABEL_WIDTH) // CELL_WIDTH))
        size = -(-number // parts)
        return [_aspect_table(view, slice(start, start + size)) for start in range(0, number, size)]
    head, *others = view.grid.headings
    columns = [head.title or f"Table {view.spec.id}", *(heading.title for heading in others)]
    rows = [[cell.text for cell in row] for row in view.grid.rows]
    return [*_parts(columns, rows, width)]


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Return the columns of each part, so that none is folded within a word."""
    from analysis.format import column_parts

    return column_parts(columns, _room(columns, rows), width)


def _room(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column when headings and long texts are folded between words."""
    room = [
        max(cell_len(word) for word in (*column.split(" "), *(row[i] for row in rows))) + PADDING
        for i, column in enumerate(columns)
    ]
    return [min(room[0], LABEL_WIDTH), *(min(each, TEXT_WIDTH) for each in room[1:])]


def _aspect_table(view: Any, part: slice) -> Table:
    """Return configurations of a transposed table: the paper's words, then measured numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="bold")
    table.add_column(cell(f"Table {view.spec.id}"), overflow="fold", min_width=12)
    for name in view.aspects.headings[part]:
        table.add_column(cell(name), overflow="fold")
    for group in view.aspects.groups:
        for line in group:
            if line.is_aspect:
                ratings = ([cell(word, "bold"), cell(fact)] for word, fact in line.cells[part])
                cells = [Text(" ").join(filter(None, rating)) for rating in ratings]
            else:
                cells = [cell("\n".join(filter(None, texts))) for texts in line.cells[part]]
            label = f"  {line.label}" if group[0].is_aspect and not line.is_aspect else line.label
            table.add_row(cell(label, "bold" if line.is_aspect else ""), *cells)
        table.add_section()
    return table


def show_paper(frames: Any) -> None:
    """Print the tables and claims of a study, if it has any."""
    from analysis.claims import judged_claims
    from analysis.paper_view import paper_views

    for view in paper_views(frames):
        line(f"{view.spec.title} ({view.spec.source})" if view.spec.source else view.spec.title)
        for table in paper_tables(view, _console().width):
            show(table)
            line()
        if view.statements:
            line(f"Words against numbers: {view.agreement}")
            for one in view.statements:
                line(f"{one.agreement}: {one.aspect.name}: {one.paper}")
                line(f"    {one.detail}")
            line()
    for judged in judged_claims(frames):
        line(f"{judged.statement}: {judged.claim.text}")
        line(f"    {judged.detail}")


def paper_json(frames: Any) -> dict[str, Any]:
    """Return what a sweep is, its study's tables and claims with our numbers, and all as text.

    ``printed`` has the same tables, the front, what is near it and the references, in the words and
    digits of `kdsweep report --paper`.
    """
    from analysis.claims import judged_claims
    from analysis.export import describe, made
    from analysis.printed.tables import sweep_tables
    from analysis.tables import described

    return {
        **describe(frames),
        "made": made(frames),
        "tables": [described(frames, table) for table in frames.study.report.tables],
        "claims": [judged.plain for judged in judged_claims(frames)],
        "printed": [asdict(table) for table in sweep_tables(frames)],
    }


def dict_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return rows of plain data as a table, one column per key."""
    from analysis import format as text

    columns = list(dict.fromkeys(name for row in rows for name in row))
    return plain_table(columns, [[text.number(row.get(name)) for name in columns] for row in rows])


def shown_path(path: Path) -> str:
    """Return a path below the current folder relative to it, any other one in full."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def program() -> str:
    """Return the command that calls this program from here."""
    if shutil.which("kdsweep"):
        return "kdsweep"
    called = Path(sys.argv[0])
    as_module = called.name == "__main__.py"
    return "python -m kdsweep" if as_module else shlex.quote(shown_path(called))


def command_line(command: str, name: str, home: Path) -> str:
    """Return the command line for a sweep; ``{}`` in ``command`` stands for the sweep's name."""
    default = Path(os.environ.get("KDSWEEP_HOME", "runs")).expanduser()
    place = "" if home.resolve() == default.resolve() else f" --home {shlex.quote(str(home))}"
    if name.startswith("-"):  # a renamed folder
        verb, _, rest = command.partition(" {}")
        return f"{program()} {verb}{rest}{place} -- {shlex.quote(name)}"
    return f"{program()} {command.format(shlex.quote(name))}{place}"
