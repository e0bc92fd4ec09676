"""Tables in Markdown, as GitHub reads them."""

from analysis.printed.tables import PrintedTable, on_one_line

SPECIAL = "\\`*_{}[]<>#|~$"
"""Characters that Markdown, or HTML in it, would read as markup."""


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
