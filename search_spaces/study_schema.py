"""The door: shape and types of a study file, checked by pydantic before anything is built.

What depends on several fields at once is checked where the parts are put together
(`search_spaces.study`).
"""

import math
import re
from typing import Annotated, Any, Literal, TypeAlias

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

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smh])")


def duration_s(value: object) -> object:
    """Return a duration in seconds: ``"90s"``, ``"10m"``, ``"2h"``, or a number of seconds."""
    if value is None:
        return None
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        value = float(match[1]) * SECONDS[match[2]]
    positive = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if not positive or value == math.inf:
        raise PydanticCustomError("duration", "must be a time such as 90s, 10m or 2h, or null")
    return float(value)  # type: ignore[arg-type]  # narrowed by `positive`


def _scalar(value: object) -> Value:
    if not is_value(value):
        raise PydanticCustomError("scalar", "must be text, a finite number, true or false")
    return value  # type: ignore[return-value]  # narrowed by `is_value`


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


Scalar: TypeAlias = Annotated[
    Any,
    PlainValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Scalars: TypeAlias = Annotated[
    list[Scalar],
    BeforeValidator(_as_list),
    Field(min_length=1),
]
"""One value or a list of values."""
_SCALARS_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {
                "type": "array",
                "items": {"type": ["string", "number", "boolean"]},
                "minItems": 1,
            },
        ]
    }
)
ScalarOrList: TypeAlias = Annotated[Scalars, _SCALARS_SCHEMA]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Slug: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]
Count: TypeAlias = Annotated[int, Field(ge=1)]


class Door(BaseModel):
    """Base of all parts: strict types, finite numbers, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: object) -> object:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key",
                        "{problem}",
                        {"key": str(key), "problem": f"is not known here; {_fix(key, cls)}"},
                    )
        return data


def _fix(key: object, door: type[Door]) -> str:
    return choose_from(key, door.model_fields)


class FloatDoor(Door):
    """A real interval."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    when: dict[Name, ScalarOrList] = {}


class IntDoor(Door):
    """Whole numbers from low to high."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = 1
    when: dict[Name, ScalarOrList] = {}


class ChoiceDoor(Door):
    """One of a few values."""

    type: Literal["choice"]
    values: list[Scalar]
    when: dict[Name, ScalarOrList] = {}


class ObjectiveDoor(Door):
    """One number to optimise."""

    metric: Text
    direction: Literal["minimize", "maximize"]
    unit: str = ""
    reference: float
    scale: Literal["linear", "log"] = "linear"
    label: str | None = None


class ConstraintDoor(Door):
    """A bound on a metric."""

    metric: Text
    max: float | None = None
    min: float | None = None


class SearchDoor(Door):
    """How configurations are proposed."""

    sampler: Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random", "grid", "points"] = "tpe"
    points: list[dict[Name, ScalarOrList]] = []


class BudgetDoor(Door):
    """When the search ends."""

    trials: Count | None = None
    epochs: Count | None = None
    time: Annotated[
        float | None,
        BeforeValidator(duration_s),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
                    {"type": "number", "exclusiveMinimum": 0},
                    {"type": "null"},
                ],
                "default": None,
            }
        ),
    ] = None


class SeedsDoor(Door):
    """Where randomness starts."""

    search: Seed = 0
    trial: Seed = 0
    confirm: list[Seed] = [101, 102, 103]


class ConfirmDoor(Door):
    """Which trials are repeated on the test split."""

    select: Literal["front", "all", "none"] = "front"
    retrain: bool = True
    limit: Count | None = None


class ColumnDoor(Door):
    """A metric shown in a table."""

    metric: Text
    label: str | None = None


class RowDoor(Door):
    """A published number and how to find ours."""

    id: Text
    label: str | None = None
    role: Literal["teacher", "baseline", "trial", "confirmation"]
    match: dict[Name, Scalar] = {}
    paper: dict[str, float] = {}


class TableDoor(Door):
    """A published table."""

    id: Text
    title: str = ""
    source: str = ""
    columns: Annotated[list[ColumnDoor], Field(min_length=1)]
    rows: Annotated[list[RowDoor], Field(min_length=1)]


class ClaimDoor(Door):
    """A statement about rows; exactly one of order, not_worse and interior."""

    id: Text
    text: Text
    metric: Text
    order: list[str] | None = None
    not_worse: list[str] | None = None
    interior: list[str] | None = None


class ReportDoor(Door):
    """A published paper's tables and claims."""

    tables: list[TableDoor] = []
    claims: list[ClaimDoor] = []


ParameterDoor: TypeAlias = Annotated[FloatDoor | IntDoor | ChoiceDoor, Field(discriminator="type")]


class StudyDoor(Door):
    """A study: what is swept, what is wanted and at what expense."""

    name: Slug
    title: Text
    description: str = ""
    task: Annotated[str, Field(pattern=r"^([a-z0-9]+(-[a-z0-9]+)*|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")]
    parameters: dict[Name, Scalar] = {}
    space: dict[Name, ParameterDoor] = {}
    objectives: list[ObjectiveDoor]
    constraints: list[ConstraintDoor] = []
    search: SearchDoor = SearchDoor()
    budget: BudgetDoor = BudgetDoor()
    seeds: SeedsDoor = SeedsDoor()
    confirm: ConfirmDoor = ConfirmDoor()
    report: ReportDoor = ReportDoor()


_PROBLEMS = {
    "missing": "is missing; add it",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "has an impossible form (pattern {pattern})",
    "union_tag_invalid": "must have a type out of {expected_tags}",
    "union_tag_not_found": "needs a type: float, int or choice",
}
"""Our words where pydantic's assume that the reader knows pydantic."""


def _explain(detail: ErrorDetails, raw: Any) -> tuple[str, str]:
    """Return the place in the file and the problem there, of one error of pydantic."""
    kind, context = detail["type"], detail.get("ctx", {})
    place = _place(detail["loc"], raw, missing=kind == "missing")
    if kind == "unknown_key":
        return ".".join((*place, context["key"])), context["problem"]
    message = detail["msg"]
    if kind in _PROBLEMS:
        message = _PROBLEMS[kind].format(**context)
    if kind != "missing":
        shown = repr(detail["input"])
        message += f", got {shown if len(shown) <= 80 else shown[:77] + '...'}"
    return ".".join(place), message[0].lower() + message[1:]


def _place(loc: tuple[int | str, ...], raw: Any, *, missing: bool) -> list[str]:
    """Return the steps of ``loc`` that are in the file; pydantic adds type tags of its own."""
    place: list[str] = []
    node = raw
    for depth, step in enumerate(loc):
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            if not (missing and depth == len(loc) - 1):
                continue
        place.append(str(step))
    return place


def validate(raw: Any) -> StudyDoor:
    """Return the plain data of a study file with types checked and defaults filled in.

    Raises:
        StudyError: Naming the first field that is wrong, and how many others are.
    """
    try:
        return StudyDoor.model_validate(raw)
    except ValidationError as error:
        problems = list(dict.fromkeys(_explain(detail, raw) for detail in error.errors()))
    place, problem = problems[0]
    if others := len(problems) - 1:
        problem += f" (and {others} more: {', '.join(place for place, _ in problems[1:4])})"
    raise StudyError(problem, place=place)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of study files, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StudyDoor.model_json_schema(),
    }
