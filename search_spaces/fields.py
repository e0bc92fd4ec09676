"""Types of fields, and how plain data become the parts of a study.

Every part is a frozen dataclass of pydantic, so code and files pass the same checks, as does
`dataclasses.replace`.
"""

import math
import re
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    StrictInt,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from search_spaces.errors import StudyError, choose_from, shown

CONFIG = ConfigDict(
    extra="forbid",
    allow_inf_nan=False,
    defer_build=True,
    validate_by_name=True,
    validate_by_alias=True,
)


@dataclass(frozen=True, config=CONFIG)
class Part:
    """Base of every part of a study: finite numbers, no unknown keys.

    An alias is a field's name in files; a field that is excluded is in no file.
    """

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: object) -> object:
        # Before pydantic's own check, which does not name the right key.
        fields = cls.__pydantic_fields__  # type: ignore[attr-defined]  # set by pydantic
        known = [field.alias or name for name, field in fields.items() if not field.exclude]
        for key in data if isinstance(data, dict) else ():
            if key not in known:
                raise StudyError(f"is not a known field; {choose_from(key, known)}", place=str(key))
        return data


def fill_in(part: Part, **values: object) -> None:
    """Set fields of a part that its file left out, while the part is made."""
    for name, value in values.items():
        object.__setattr__(part, name, value)


Value: TypeAlias = bool | int | float | str
"""A JSON scalar; its type is part of it: 16, 16.0 and True are three values."""


def is_value(value: object) -> bool:
    """Return whether ``value`` is a JSON scalar other than null, and finite if a number."""
    return isinstance(value, bool | int | str) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _scalar(value: object) -> Value:
    if not is_value(value):
        raise StudyError(f"must be text, a finite number, true or false, got {shown(value)}")
    return value  # type: ignore[return-value]  # narrowed by `is_value`


def _scalar_or_list(value: object) -> object:
    if not isinstance(value, list | tuple):
        return _scalar(value)
    if not value:
        raise StudyError("must not be empty, got []")
    for index, element in enumerate(value):
        if not is_value(element):
            raise StudyError(
                f"must be text, a finite number, true or false, got {shown(element)}",
                place=str(index),
            )
    return tuple(value)


def _scalars(value: object) -> object:
    found = _scalar_or_list(value)
    return found if isinstance(found, tuple) else (found,)


_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_SCALAR_OR_LIST = WithJsonSchema(
    {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]}
)

Scalar: TypeAlias = Annotated[Value, PlainValidator(_scalar), WithJsonSchema(_SCALAR)]
"""A JSON scalar that keeps its type; pydantic's unions would complain once per member."""

Scalars: TypeAlias = Annotated[tuple[Value, ...], PlainValidator(_scalars), _SCALAR_OR_LIST]
"""A JSON scalar or a list of them; always a tuple in the part."""

Multiple: TypeAlias = Annotated[Value, PlainValidator(_scalar_or_list), _SCALAR_OR_LIST]
"""A JSON scalar, or a list of them that the study multiplies out."""

Name: TypeAlias = Annotated[
    str, Field(pattern=r"^([a-z0-9]+(-[a-z0-9]+)*/)?[A-Za-z_][A-Za-z0-9_]*$")
]
"""Name of a parameter; in a network of tasks the task's stands in front, csi-feedback/method."""
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Count: TypeAlias = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
Seed: TypeAlias = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]


class OrNull:
    """Marks a field that may be null in a file, and that its part then fills in."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.nullable_schema(handler(source))


LEFT_OUT: Any = None
"""Default of such a field."""

LONGEST_S = 1e9
"""Longest duration [s], some thirty years; longer ones are slips."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smh])")


def duration_s(value: object) -> float | None:
    """Return a duration in seconds: of ``"90s"``, ``"10m"``, ``"2h"``, or a number of seconds.

    Raises:
        StudyError: If it is anything else, zero, negative or longer than `LONGEST_S`.
    """
    if value is None:
        return None
    found = value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        found = float(match[1]) * _UNITS[match[2]]
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= LONGEST_S:
        raise StudyError(f"must be a time such as 90s, 10m or 2h, or null, got {shown(value)}")
    return float(found)


Duration: TypeAlias = Annotated[
    float | None,
    PlainValidator(duration_s),
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
"""A time limit; in seconds in the part."""

_PROBLEMS = {
    "missing": "is missing; add it",
    "missing_argument": "is missing; add it",
    "missing_keyword_only_argument": "is missing; add it",
    "dataclass_type": "must be a mapping with fields",
    "model_attributes_type": "must be a mapping with fields",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text (in quotes, if it looks like something else)",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty; list at least one",
    "string_pattern_mismatch": "must match {pattern}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is missing; add type: float, int or choice",
}
"""Messages in place of pydantic's, for readers who do not know pydantic."""

_YAML_1_1 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}

Kind = TypeVar("Kind")


def validated(kind: type[Kind], raw: Any) -> Kind:
    """Return plain data as a part, with types checked and defaults filled in.

    Raises:
        StudyError: About the first field that is wrong; it names the others that are.
    """
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        problems = dict(_explain(detail, raw) for detail in reversed(error.errors()))
    (place, problem), *others = reversed(problems.items())
    if others:
        problem += f" (wrong as well: {', '.join(other for other, _ in others)})"
    raise StudyError(problem, place=place)


def _explain(detail: ErrorDetails, raw: Any) -> tuple[str, str]:
    """Return the place in the file and the problem there, of one error of pydantic."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    steps = _place(detail["loc"], raw)
    if isinstance(error := context.get("error"), StudyError):
        return ".".join(filter(None, [*steps, error.place])), error.problem
    problem = _PROBLEMS.get(kind, detail["msg"]).format_map(context)
    if kind.startswith("missing"):
        return ".".join([*_place(detail["loc"][:-1], raw), str(detail["loc"][-1])]), problem
    if kind.startswith("union_tag"):
        got = f", got {context['tag']!r}" if "tag" in context else ""
        return ".".join([*steps, "type"]), problem + got
    problem += f", got {shown(value)}"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in _YAML_1_1:
        problem += f"; write {_YAML_1_1[value.lower()]}"
    return ".".join(steps), problem


def _place(loc: tuple[int | str, ...], raw: Any) -> list[str]:
    """Return the steps of ``loc`` that are in the file; pydantic puts type tags between them."""
    place: list[str] = []
    node = raw
    for step in loc:
        if not isinstance(node, dict | list | tuple):
            break
        try:
            node = node[step]  # type: ignore[index]  # a wrong kind of step is a tag of pydantic
        except (KeyError, IndexError, TypeError):
            continue
        place.append(str(step))
    return place
