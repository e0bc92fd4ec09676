"""The shape of a study file; the docstrings are what an editor shows through the JSON Schema.

What depends on several fields at once is checked where the parts are put together.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from search_spaces.door import Door, Duration, OneOrMore, Scalar

Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Slug: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
TaskName: TypeAlias = Annotated[
    str, Field(pattern=r"^([a-z0-9]+(-[a-z0-9]+)*|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$")
]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=2**31 - 1)]


def _slots(value: object) -> int | Literal["max"]:
    if value == "max" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PydanticCustomError("slots", "must be 'max' or a whole number")


Slots: TypeAlias = Annotated[
    Any,
    PlainValidator(_slots),
    WithJsonSchema({"anyOf": [{"const": "max"}, {"type": "integer", "minimum": 1}]}),
]


class ParameterDoor(Door):
    """What every searched parameter may have."""

    when: dict[Name, OneOrMore] = Field(default={})
    """The parameter exists only if each parameter named here has one of the values listed."""


class FloatDoor(ParameterDoor):
    """A real interval."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    """Draw uniformly in the logarithm; needs low > 0."""


class IntDoor(ParameterDoor):
    """Whole numbers low, low + step, ..., high."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    """Draw uniformly in the logarithm; needs low > 0 and step 1."""
    step: int = 1


class ChoiceDoor(ParameterDoor):
    """One of a few values, without order."""

    type: Literal["choice"]
    values: list[Scalar]


class ObjectiveDoor(Door):
    """One number to optimise."""

    metric: Text
    """Name of a metric that the task reports."""
    direction: Literal["minimize", "maximize"]
    unit: str = ""
    reference: float
    """Coordinate of the hypervolume's reference point: the worst value that still counts."""
    scale: Literal["linear", "log"] = "linear"
    tolerance: float = 0.0
    """Differences up to this count as equal, in the unit; with scale log a share: 0.05 for 5 %."""
    label: Text | None = None
    """Name on axes and in tables; the metric's name if left out."""


class ConstraintDoor(Door):
    """A bound that members of the front keep; give max, min or both."""

    metric: Text
    max: float | None = None
    min: float | None = None


class SearchDoor(Door):
    """How configurations are proposed."""

    sampler: Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random", "grid", "points"] = "tpe"
    points: list[dict[Name, OneOrMore]] = Field(default=[])
    """Tried first (sampler `points`: tried only); lists are multiplied out."""
    warm_start: list[Text] = Field(default=[])
    """Earlier sweeps whose finished trials the sampler learns from: names, or paths of folders."""


class BudgetDoor(Door):
    """When the search ends."""

    trials: Count | None = None
    """Number of trials; needed unless the sampler is `grid` or `points`, which try all."""
    epochs: Count | None = None
    """The task's parameter `epochs`; null leaves the task's default."""
    time: Duration = None
    """Wall time of the search: 90s, 10m, 2h, a number of seconds, or null."""


class SeedsDoor(Door):
    """Where randomness starts."""

    search: Seed = 0
    trial: Seed = 0
    """The task's parameter `seed`, unless a trial sets it."""
    confirm: list[Seed] = Field(default=[101, 102, 103])
    """The task's parameter `seed` in the repetitions of a confirmed trial."""


class ConfirmDoor(Door):
    """Which trials are judged on the test split."""

    select: Literal["front", "all", "none"] = "front"
    retrain: bool = True
    """Train anew with each seed; false evaluates the trial's own weights."""
    limit: Count | None = None
    """At most so many trials: along the front first, then the nearest to it; null for no limit."""
    epsilon: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """With select front: trials no further behind it than this share of its range are judged, too,
    in every objective."""


class ResourcesDoor(Door):
    """What a trial takes of the machines, and how many run at once."""

    cpus: float = 1.0
    """Cores per node actor of a trial: whole, or a fraction below 1 of which several share one."""
    gpus: float = 0.0
    """GPUs per node actor of a trial, likewise; 0 for none."""
    slots: Slots = "max"
    """Trials at once: max for as many as fit, or a number."""


class StoppingDoor(Door):
    """Trials that fall behind are stopped early; left out, every trial is trained to its end."""

    kind: Literal["asha"] = "asha"
    """Multi-objective asynchronous successive halving."""
    min_share: float = 0.125
    """Share of its training before a trial is compared with others for the first time."""
    eta: int = 3
    """Of so many trials at a rung one goes on; the next rung is so many times later."""
    min_trials: int = 4
    """A rung stops nobody before so many trials have reached it."""
    keep: list[Name] = Field(default=[])
    """Parameters: of each of their values one trial at least is trained to its end."""


class ColumnDoor(Door):
    """A metric shown in a table."""

    metric: Text
    label: Text | None = None
    unit: str = ""
    """Printed with every number; B, bit, FLOP, s and J get prefixes."""
    aspect: str = ""
    """The aspect that it measures, in layout `aspects`."""


class AspectDoor(Door):
    """A group of lines in layout `aspects`: words of the paper and the metrics they speak about."""

    name: Text
    words: list[Text] = Field(default=[])
    """From that for the least of the metrics to that for the most, whatever is better."""
    metrics: list[Text] = Field(default=[])
    """Columns that the words are compared with; needed if there are words."""
    factor: Annotated[float, Field(ge=1)] = 2.0
    """Rows with the same word agree if they are at most so many times apart."""


class RowDoor(Door):
    """A published number and how to find ours."""

    id: Text
    """Unique over all tables."""
    label: Text | None = None
    role: Literal["teacher", "baseline", "trial", "confirmation"]
    match: dict[Name, Scalar] = Field(default={})
    """Parameters that a run must have to belong to this row; "" for one that it must not have."""
    paper: dict[Text, float] = Field(default={})
    """Published numbers by metric."""
    words: dict[Text, Text] = Field(default={})
    """Published words by aspect, compared with the numbers."""
    facts: dict[Text, Text] = Field(default={})
    """Published texts by aspect, printed only."""


class TableDoor(Door):
    """A published table, laid out beside ours."""

    id: Text
    title: str = ""
    source: str = ""
    layout: Literal["rows", "aspects"] = "rows"
    """`aspects` prints a column per row and a line per metric, grouped by aspect."""
    aspects: list[AspectDoor] = Field(default=[])
    """In the order of printing; only for layout `aspects`."""
    columns: Annotated[list[ColumnDoor], Field(min_length=1)]
    rows: Annotated[list[RowDoor], Field(min_length=1)]


class ClaimDoor(Door):
    """A statement about rows; give exactly one of order, not_worse, interior and apart."""

    id: Text
    text: Text
    metric: Text
    direction: Literal["minimize", "maximize"] | None = None
    """Which way the metric is better, where no objective says so; less, if left out."""
    order: list[Text] | None = None
    """Each row strictly better than the next."""
    not_worse: list[Text] | None = None
    """The first row at least as good as the second."""
    interior: list[Text] | None = None
    """The best row is neither the first nor the last."""
    apart: list[Text] | None = None
    """Each row better than the next, and their intervals do not overlap."""


class ReportDoor(Door):
    """A published paper's tables and claims."""

    tables: list[TableDoor] = Field(default=[])
    claims: list[ClaimDoor] = Field(default=[])


DomainDoor: TypeAlias = Annotated[FloatDoor | IntDoor | ChoiceDoor, Field(discriminator="type")]


class StudyDoor(Door):
    """What is swept, what is wanted and at what expense."""

    model_config = ConfigDict(title="kdsweep study")

    name: Slug
    title: Text
    """One line."""
    description: str = ""
    task: TaskName
    """Name of a task, or package.module:Class."""
    parameters: dict[Name, Scalar] = Field(default={})
    """Parameters of the task that stay fixed."""
    space: dict[Name, DomainDoor] = Field(default={})
    """Parameters that are searched."""
    objectives: list[ObjectiveDoor]
    constraints: list[ConstraintDoor] = Field(default=[])
    search: SearchDoor = SearchDoor()
    budget: BudgetDoor = BudgetDoor()
    stopping: StoppingDoor | None = None
    """Which trials are stopped early; null trains all of them to their end."""
    resources: ResourcesDoor = ResourcesDoor()
    seeds: SeedsDoor = SeedsDoor()
    confirm: ConfirmDoor = ConfirmDoor()
    report: ReportDoor = ReportDoor()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of study files."""
    schema = StudyDoor.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
