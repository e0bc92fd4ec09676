"""What the site takes from the code when it is built: command line, fields of a study.

Each function returns the Markdown that follows the text of a page of the folder `reference`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import typer.main
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from typer.cli import get_docs_for_click

from search_spaces.json_schema import json_schema
from sweeps.cli.main import app as command_line

LARGE = 2**31 - 1
"""Bounds from here on keep numbers within machine integers, and tell a reader nothing."""

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def commands() -> str:
    """Return every command with its arguments, options and examples, as ``--help`` has them."""
    group = typer.main.get_command(command_line)
    page = get_docs_for_click(obj=group, ctx=typer.Context(group), name="kdsweep")
    page = page[page.index("**Usage**") :].replace("$ kdsweep", "kdsweep").replace("}...", "}")
    for name, command in group.commands.items():  # in the list Typer cuts sentences short
        line = f"* [`{name}`](#kdsweep-{name}): {command.help.partition(chr(10))[0]}"
        page = re.sub(rf"^\* `{name}`: .*$", line, page, count=1, flags=re.M)
    return re.sub(r"^Example: (.*)$", r"Example: `\1`", page, flags=re.M)


def study() -> str:
    """Return a table of the fields of a study, and one of each of its parts."""
    schema = json_schema()
    parts = schema["$defs"]
    found = ["## A study", *_part(schema, parts)]
    for name, part in parts.items():
        found += [f"## {name}", *_part(part, parts)]
    return "\n\n".join(found)


def _part(part: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[str]:
    yield part["description"]
    rows = ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in part.get("properties", {}).items():
        needed = name in part.get("required", ())
        default = "required" if needed else _written(field.get("default", ""))
        part_of = parts.get(str(field.get("items", field).get("$ref")).rpartition("/")[2], {})
        meaning = field.get("description") or part_of.get("description", "").partition("\n")[0]
        cells = (f"`{name}`", _values(field), default, meaning)
        rows.append(
            "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"
        )
    if len(rows) > 2:
        yield "\n".join(rows)


def _written(value: Any) -> str:
    words = {None: "none", True: "true", False: "false"}
    if isinstance(value, bool | None):
        return words[value]
    return "" if value in ("", [], {}) else f"`{value}`"


def _values(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if kinds := field.get("anyOf") or field.get("oneOf"):
        found = [_values(kind) for kind in kinds if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(found))
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array" and "items" in field:
        return f"list of {_values(field['items'])}"
    kind = field.get("type", "any")
    limits = [
        f"{sign} {field[key]:g}"
        for key, sign in BOUNDS.items()
        if abs(field.get(key, LARGE)) < LARGE
    ]
    return " ".join([kind if isinstance(kind, str) else ", ".join(kind), *limits])


def signature(
    _app: Sphinx, _kind: str, _name: str, found: Any, _options: object, *words: str | None
) -> tuple[str, ...] | None:
    """Return how a part of a study is made, and other signatures with short names of types."""
    if words[0] is None:
        return None
    if not hasattr(found, "__pydantic_fields__"):
        return tuple(SHORT.sub(lambda match: LONG[match[0]], word or "") for word in words)
    written: dict[bool, list[str]] = {True: [], False: ["*"]}
    for field in (one for one in fields(found) if one.name != "type"):
        info = found.__pydantic_fields__[field.name]
        default = "" if info.is_required() else f"={info.get_default(call_default_factory=True)!r}"
        written[not field.kw_only].append((info.alias or field.name) + default)
    return f"({', '.join(written[True] + written[False])})", ""


ARRAY = "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~typing.Any]]"
LONG = {
    f"~collections.abc.Mapping[str, {ARRAY}]": "Arrays",
    "~collections.abc.Mapping[str, bool | int | float | str]": "Params",
    "<factory>": "...",
}
SHORT = re.compile("|".join(map(re.escape, LONG)))


def sentences(
    _app: Sphinx, kind: str, _name: str, _found: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading what stands before a colon as the type of an attribute."""
    if kind in ("attribute", "property"):
        lines.insert(0, "")


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/command-line": commands,
    "reference/study": study,
}

OUTSIDE = {"ARCHITECTURE": "/architecture.md", "CHANGELOG": "/changelog.md", "README": "/index.md"}
"""Documents above the folder of the site, and the pages that stand for them."""


def complete(_app: Sphinx, name: str, source: list[str]) -> None:
    """Append what is generated to a page, and lead links out of the folder to pages of the site."""
    if name in PAGES:
        source[0] += "\n" + PAGES[name]()
    for outside, page in OUTSIDE.items():
        source[0] = re.sub(rf"\]\((?:\.\./)+{outside}\.md(#[\w-]+)?", f"]({page}", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("env-get-outdated", lambda *_: [*PAGES])
    app.connect("source-read", complete)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", sentences, priority=400)  # before napoleon
    app.add_lexer(
        "mermaid", TextLexer
    )  # drawn by GitHub; a script that draws it here is not fetched
    return {"parallel_read_safe": True}
