"""Tables in LaTeX, with the rules of the package booktabs."""

from analysis.printed.tables import PrintedTable
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
    "\n": " ",
}
"""What stands in LaTeX for a character that means something else there, or has no letter."""


def escaped(text: str) -> str:
    """Return text so that LaTeX prints it as it is."""
    return "".join(ESCAPES.get(letter, letter) for letter in text)


def latex(table: PrintedTable) -> str:
    """Return the table as a float across both columns; it needs the package booktabs."""
    kinds = "".join("r" if heading.numeric else "l" for heading in table.headings)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{_label(table.name)}}}",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        _row([_heading(heading) for heading in table.headings]),
        r"\midrule",
        *(_row([escaped(cell) for cell in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _heading(heading: Heading) -> str:
    if not heading.note:
        return escaped(heading.title)
    return rf"\shortstack{{{escaped(heading.title)}\\{escaped(heading.note)}}}"


def _label(name: str) -> str:
    """Return a name that a label may have."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
