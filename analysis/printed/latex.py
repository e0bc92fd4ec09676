"""Tables in LaTeX, with the rules of the package booktabs."""

from collections.abc import Iterator

from analysis.format import column_parts
from analysis.printed.tables import PrintedTable, on_one_line
from analysis.report_tables import Heading

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # behind the end of a row a bracket would be the row's height
    "[": "{[}",
    "<": "$<$",
    ">": "$>$",
    "\N{MINUS SIGN}": "$-$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{INFINITY}": r"$\infty$",
    "\N{GREEK SMALL LETTER ALPHA}": r"$\alpha$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
}
"""What stands in LaTeX for a character that means something else there, or has no letter."""


PAGE_PT, LETTER_PT, GAP_PT = 500.0, 4.0, 8.0
"""Across both columns of IEEEtran [pt]; a digit of footnote size; between columns of a table."""

LONGEST = 28
"""Letters of a cell that are not wrapped."""


def escaped(text: str) -> str:
    """Return text so that LaTeX prints it as it is, on one line."""
    return "".join(ESCAPES.get(letter, letter) for letter in on_one_line(text))


def latex(table: PrintedTable) -> str:
    """Return the table as a float across both columns.

    What does not fit beside each other stands one below the other, with the first column repeated.
    It needs the packages array and booktabs.
    """
    titles = [heading.title for heading in table.headings]
    room = [_room(table, column) for column in range(len(titles))]
    lines = [
        r"% needs \usepackage{array,booktabs}",
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{_label(table.name)}}}",
    ]
    for number, part in enumerate(column_parts(titles, room, PAGE_PT)):
        lines += [] if number == 0 else [r"\par\medskip"]
        lines += _tabular(table, part)
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def _tabular(table: PrintedTable, part: list[int]) -> Iterator[str]:
    """Yield the lines of some columns."""
    kinds = "".join(_kind(table, column) for column in part)
    yield rf"\begin{{tabular}}{{{kinds}}}"
    yield r"\toprule"
    yield _row([_heading(table.headings[column]) for column in part])
    yield r"\midrule"
    for row in table.rows:
        yield _row([escaped(row[column]) for column in part])
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _kind(table: PrintedTable, column: int) -> str:
    if table.headings[column].numeric:
        return "r"
    if _letters(table, column) <= LONGEST:
        return "l"
    return rf">{{\raggedright\arraybackslash}}p{{{LONGEST * LETTER_PT:g}pt}}"


def _room(table: PrintedTable, column: int) -> float:
    """Return how wide a column is, about [pt]."""
    heading = table.headings[column]
    letters = _letters(table, column)
    if not heading.numeric:
        letters = min(letters, LONGEST)
    return LETTER_PT * max(letters, len(heading.title), len(heading.note)) + GAP_PT


def _letters(table: PrintedTable, column: int) -> int:
    return max((len(row[column]) for row in table.rows), default=0)


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _heading(heading: Heading) -> str:
    if not heading.note:
        return escaped(heading.title)
    return rf"\shortstack{{{escaped(heading.title)}\\{escaped(heading.note)}}}"


def _label(name: str) -> str:
    """Return a name that a label may have."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
