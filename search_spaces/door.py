"""How plain data are checked before anything is built: types, unknown keys, readable errors.

Knows pydantic and nothing of what a study contains (that is `search_spaces.study_schema`).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from search_spaces.domains import Value, is_value
from search_spaces.errors import StudyError, choose_from


class Door(BaseModel):
    """Base of every part of a file: strict types, finite numbers, no unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: object) -> object:
        # Before pydantic's own check, because that one does not say what would have been right.
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                problem = f"is not known here; {choose_from(key, cls.model_fields)}"
                raise PydanticCustomError(
                    "unknown_key", "{problem}", {"key": str(key), "problem": problem}
                )
        return data


AnyDoor = TypeVar("AnyDoor", bound=Door)

SECONDS: Mapping[str, float] = {"s": 1.0, "m": 60.0, "h": 3600.0}
"""Length of each unit of a duration [s]."""

LONGEST_S = 1e9
"""Longest duration [s], some thirty years; longer ones are slips."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smh])")


def duration_s(value: object) -> float | None:
    """Return a duration in seconds: of ``"90s"``, ``"10m"``, ``"2h"``, or a number of seconds.

    Raises:
        PydanticCustomError: If it is anything else, zero, negative or longer than `LONGEST_S`.
    """
    if value is None:
        return None
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        value = float(match[1]) * SECONDS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_S:
        raise PydanticCustomError("duration", "must be a time such as 90s, 10m or 2h, or null")
    return float(value)


def _scalar(value: object) -> Value:
    if not is_value(value):
        raise PydanticCustomError("scalar", "must be text, a finite number, true or false")
    return value  # type: ignore[return-value]  # narrowed by `is_value`


_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}

Scalar: TypeAlias = Annotated[Any, PlainValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
"""A JSON scalar that keeps its type; pydantic's unions would complain once per member."""

OneOrMore: TypeAlias = Annotated[
    list[Scalar],
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [_SCALAR_SCHEMA, {"type": "array", "items": _SCALAR_SCHEMA, "minItems": 1}]}
    ),
]
"""A JSON scalar or a list of them; always a list after the door."""

Duration: TypeAlias = Annotated[
    float | None,
    BeforeValidator(duration_s),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S},
                {"type": "null"},
            ]
        }
    ),
]
"""A time limit; in seconds after the door."""

_PROBLEMS = {
    "missing": "is missing; add it",
    "model_type": "must be a mapping with fields",
    "model_attributes_type": "must be a mapping with fields",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text (in quotes, if it looks like something else)",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "must match {pattern}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is missing; add type: float, int or choice",
}
"""Our words where pydantic's assume a reader who knows pydantic."""


def enter(door: type[AnyDoor], raw: Any) -> AnyDoor:
    """Return plain data with types checked and defaults filled in.

    Raises:
        StudyError: About the first field that is wrong; it names others that are.
    """
    try:
        return door.model_validate(raw)
    except ValidationError as error:
        problems = dict(_explain(detail, raw) for detail in reversed(error.errors()))
    (place, problem), *others = reversed(problems.items())
    if others:
        problem += f" (wrong as well: {', '.join(other for other, _ in others)})"
    raise StudyError(problem, place=place)


def _explain(detail: ErrorDetails, raw: Any) -> tuple[str, str]:
    """Return the place in the file and the problem there, of one error of pydantic."""
    kind, context, loc = detail["type"], detail.get("ctx", {}), detail["loc"]
    if kind == "unknown_key":
        return ".".join([*_place(loc, raw), context["key"]]), context["problem"]
    problem = _PROBLEMS.get(kind, detail["msg"]).format_map(context)
    if kind == "missing":
        return ".".join([*_place(loc[:-1], raw), str(loc[-1])]), problem
    if kind.startswith("union_tag"):
        got = f", got {context['tag']!r}" if "tag" in context else ""
        return ".".join([*_place(loc, raw), "type"]), problem + got
    shown = repr(detail["input"])
    got = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return ".".join(_place(loc, raw)), f"{problem}, got {got}"


def _place(loc: tuple[int | str, ...], raw: Any) -> list[str]:
    """Return the steps of ``loc`` that are in the file; pydantic puts type tags between them."""
    place: list[str] = []
    node = raw
    for step in loc:
        if not isinstance(node, dict | list):
            break
        try:
            node = node[step]  # type: ignore[index]  # a wrong kind of step is a tag of pydantic
        except (KeyError, IndexError, TypeError):
            continue
        place.append(str(step))
    return place
