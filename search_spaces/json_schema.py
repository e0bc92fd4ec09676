"""The JSON Schema of study files, for editors: the docstring of a field is its description.

It is read from the source here, for pydantic would read the source at every start.
"""

import ast
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from search_spaces.fields import Part
from search_spaces.study import Study


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of study files; it is shipped as ``study.schema.json``."""
    schema = TypeAdapter(Study).json_schema()
    for kind in _parts(Part):
        found = schema if kind is Study else schema["$defs"].get(kind.__name__, {})
        for base in kind.__mro__[::-1]:
            for name, doc in _field_docs(base) if issubclass(base, Part) else ():
                key = kind.__pydantic_fields__[name].alias or name  # type: ignore[attr-defined]
                if key in found.get("properties", ()):
                    found["properties"][key] = {"description": doc, **found["properties"][key]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _parts(kind: type[Part]) -> Iterator[type[Part]]:
    yield kind
    for part in kind.__subclasses__():
        yield from _parts(part)


def _field_docs(kind: type[Part]) -> Iterator[tuple[str, str]]:
    """Yield name and docstring of the fields that a class declares."""
    [declared] = ast.parse(inspect.getsource(kind)).body
    for field, doc in itertools.pairwise(ast.iter_child_nodes(declared)):
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr):
            yield ast.unparse(field.target), inspect.cleandoc(ast.literal_eval(doc.value))
