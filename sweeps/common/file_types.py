"""Check that the content of a file has the expected types before it is used."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError


def check_types(kind: Any, *values: Any) -> None:
    """Check instances of a dataclass, or mappings of its fields.

    Raises:
        ValueError: If one is of another type; the message names the field and quotes nothing.
    """
    typed = _typed(kind)
    for one in values:
        try:
            fields = kind.__dataclass_fields__ if isinstance(one, kind) else ()
            typed.validate_python({name: getattr(one, name) for name in fields} or one)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, problem["loc"]))
            raise ValueError(f"{place}: {problem['msg']}") from None


@cache
def _typed(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
