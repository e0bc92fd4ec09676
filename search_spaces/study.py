"""A study: one YAML file with what is searched, the objectives and the budget."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import field, fields, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from search_spaces.effort import EffortField
from search_spaces.errors import StudyError, choose_from
from search_spaces.fields import (
    CONFIG,
    LEFT_OUT,
    Count,
    Duration,
    Name,
    OrNull,
    Part,
    Scalar,
    Seed,
    Text,
    fill_in,
    validated,
)
from search_spaces.objectives import Constraint, Objective
from search_spaces.reading import MOST_STUDY_BYTES, read_text
from search_spaces.report_spec import ReportSpec
from search_spaces.resources import TrialResources
from search_spaces.search import Search, multiplied_out
from search_spaces.space import Space
from search_spaces.stopping import Stopping
from search_spaces.study_paths import settle_paths
from search_spaces.study_yaml import Document, apply_overrides, dump_yaml, load_yaml, read_yaml

Slug: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
_TASK = r"([a-z0-9]+(-[a-z0-9]+)*|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)"
TaskName: TypeAlias = Annotated[str, Field(pattern=rf"^{_TASK}(\+{_TASK})*$")]


@dataclass(frozen=True, kw_only=True)
class Budget(Part):
    """When the search ends."""

    trials: Annotated[Count, OrNull()] = LEFT_OUT
    """Number of trials, points and trials stopped early included.

    Needed unless the sampler is `grid` or `points`, which try all; a study always has it.
    """
    epochs: Count | None = None
    """The task's parameter `epochs`; null leaves the task's default."""
    time_s: Annotated[Duration, Field(alias="time")] = None
    """Wall time of the search: 90s, 10m, 2h, a number of seconds, or null."""


@dataclass(frozen=True, kw_only=True)
class Seeds(Part):
    """Where randomness starts."""

    search: Seed = 0
    """Of the sampler."""
    trial: Seed = 0
    """The task's parameter `seed`, unless a trial sets it."""
    confirm: tuple[Seed, ...] = (101, 102, 103)
    """The task's parameter `seed` in the repetitions of a confirmed trial."""


@dataclass(frozen=True, kw_only=True)
class Confirm(Part):
    """Which trials are judged on the test split."""

    select: Literal["front", "all", "none"] = "front"
    """The members of the front, all finished trials, or none."""
    retrain: StrictBool = True
    """Train anew with each seed; false evaluates the trial's own weights."""
    limit: Count | None = None
    """At most so many trials: the knee of the front, others along it, then the nearest to it; null
    for no limit."""
    teachers: Count = 1
    """Repetitions draw so many teachers: that of seed k of `seeds.confirm` is trained with the
    trial's `teacher_seed` plus k modulo this number."""
    epsilon: Annotated[StrictFloat, Field(ge=0, le=1)] = 0.0
    """With select front: trials behind it by at most this share of its range are judged, too,
    in every objective."""

    each: tuple[Name, ...] = ()
    """Parameters: of each combination of their values the best trial in the first objective is
    judged, too, whatever the limit. With `[method]` methods can be compared on the test split."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # With select none it may stay, as may the limit: --set confirm.select=none is enough.
        if self.epsilon and self.select == "all":
            raise StudyError(
                "adds trials beside the front, but select is 'all'; drop one of the two",
                place="epsilon",
            )
        if self.teachers > 1 and not self.retrain and self.select != "none":
            raise StudyError(
                f"is {self.teachers}, but with retrain: false students keep their weights, and so "
                "their teachers; set retrain: true or teachers: 1",
                place="teachers",
            )
        return self


@dataclass(frozen=True, kw_only=True, config={**CONFIG, "title": "kdsweep study"})
class Study(Part):
    """What is searched, the objectives and the budget."""

    name: Slug
    """Lower-case words joined by hyphens."""
    title: Text
    """One line."""
    description: str = ""
    task: TaskName
    """Name of a task, or package.module:Class; several with + between them for a network."""
    parameters: dict[Name, Scalar] = field(default_factory=dict)
    """Parameters of the task that stay fixed."""
    space: Space = field(default_factory=lambda: Space({}))
    """Parameters that are searched."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    constraints: tuple[Constraint, ...] = ()
    search: Search = field(default_factory=Search)
    budget: Budget = field(default_factory=Budget)
    effort: EffortField = None
    """What ends the students' training; null trains for the epochs of the study.

    A study with claims must name it.
    """
    stopping: Stopping | None = None
    """Which trials are stopped early; null trains all of them to their end."""
    resources: TrialResources = field(default_factory=TrialResources)
    seeds: Seeds = field(default_factory=Seeds)
    confirm: Confirm = field(default_factory=Confirm)
    report: ReportSpec = field(default_factory=ReportSpec)
    text: Annotated[SkipJsonSchema[str], Field(exclude=True)] = ""
    """The YAML as resolved, overrides applied; `parse_study` of it gives this study."""
    origin: Annotated[SkipJsonSchema[Any], Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )
    """The `Document` without its data, for the lines of errors; None if it is not known."""

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of a training at which trials are compared."""
        return () if self.stopping is None else self.stopping.rungs

    @model_validator(mode="after")
    def _check(self) -> Self:
        fill_in(self, search=replace(self.search, points=multiplied_out(self.search, self.space)))
        self.search.check_space(self.space)
        everything = {"points": len(self.search.points), "grid": self.space.size()}
        trials = self.budget.trials or everything.get(self.search.sampler)
        if not trials:
            raise StudyError("is missing; give a number of trials above 0", place="budget.trials")
        fill_in(self, budget=replace(self.budget, trials=trials))
        _check_metrics(self)
        _check_set_once(self)
        _check_seeds(self.seeds, self.confirm)
        _check_effort(self)
        _check_draws(self.seeds, self.confirm)
        if self.stopping is not None:
            _check_stopping(self)
            for name in self.stopping.keep:
                _check_kept(self, name)
            for name in self.stopping.within:
                _check_searched(self, name, "stopping.within")
        known = {*self.space.names, *(name for point in self.search.points for name in point)}
        for name in self.confirm.each:
            if name not in known:
                raise StudyError(
                    f"{name!r} is not a parameter of the space or of a point; "
                    f"{choose_from(name, known)}",
                    place="confirm.each",
                )
        return self

    def error(self, place: str, problem: str) -> StudyError:
        """Return an error about a field of this study, with file and line as far as known."""
        found = StudyError(problem, place=place, source=f"study {self.name}")
        return found if self.origin is None else self.origin.located(found)

    def plain(self) -> dict[str, Any]:
        """Return the study as plain data, with defaults, under the names of its file."""
        found: dict[str, Any] = TypeAdapter(Study).dump_python(self, by_alias=True)
        return found


def available() -> dict[str, str]:
    """Return name and title of every study that comes with the package, by name."""
    titles = {}
    for name, file in _shipped().items():
        # Only the line of the title: reading all studies whole takes a second.
        found = re.search(r"^title: .*", file.read_text(encoding="utf-8"), re.MULTILINE)
        titles[name] = load_yaml(found[0], file.name)["title"] if found else ""
    return titles


def names() -> list[str]:
    """Return the names of the studies that come with the package, without reading the files."""
    return list(_shipped())


def load_study(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Return a study that comes with the package, by name, or one from a file, by path.

    Relative paths in parameters begin at the study's folder, in ``overrides`` at the current one,
    see `study_paths`; the study that is returned has absolute paths.

    Args:
        name_or_path: A path if it ends in ``.yaml`` or ``.yml``, otherwise a name.
        overrides: Settings such as ``budget.trials=4`` or ``space.width.high=8``: a dotted path
            into the file (numbers count list elements from 0), ``=``, a value in YAML.

    Raises:
        StudyError: If there is no such study, or it is wrong.
    """
    text, source = _read(str(name_or_path))
    document = read_yaml(text, source)
    raw = document.raw
    if settle_paths(raw, Path(source).expanduser().parent):
        text = dump_yaml(raw)
    if overrides:
        apply_overrides(raw, overrides, [section.name for section in fields(Study)])
        settle_paths(raw, Path())
        text, document = dump_yaml(raw), replace(document, settings=tuple(overrides))
    return _study(document, text)


def parse_study(text: str, source: str) -> Study:
    """Return the study that ``text`` describes.

    Raises:
        StudyError: If it is wrong; the message names ``source``, line, field, value and fix.
    """
    return _study(read_yaml(text, source), text)


def _study(document: Document, text: str) -> Study:
    try:
        found = validated(Study, document.raw)
    except StudyError as error:
        raise document.located(error) from error
    return replace(found, text=text, origin=replace(document, raw=None))


def schema_file() -> Path:
    """Return the file with the JSON Schema of study files, for editors."""
    return Path(str(resources.files("search_spaces") / "study.schema.json"))


def _read(name_or_path: str) -> tuple[str, str]:
    """Return the text of a study and what to call it in errors."""
    if name_or_path.endswith((".yaml", ".yml")):
        try:
            return read_text(Path(name_or_path).expanduser(), MOST_STUDY_BYTES), name_or_path
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"cannot be read: {error}", source=name_or_path) from error
    shipped = _shipped()
    if name_or_path not in shipped:
        raise StudyError(
            f"there is no study {name_or_path!r}; {choose_from(name_or_path, shipped)}; "
            "the name of a file of your own ends in .yaml"
        )
    file = shipped[name_or_path]
    return file.read_text(encoding="utf-8"), f"studies/{file.name}"


def _shipped() -> dict[str, Traversable]:
    """Return the study files of the package; each is called after the study in it."""
    folder = resources.files("search_spaces") / "studies"
    files = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return {file.name.removesuffix(".yaml"): file for file in files if file.name.endswith(".yaml")}


def _check_metrics(study: Study) -> None:
    for place, parts in (("objectives", study.objectives), ("constraints", study.constraints)):
        counts = Counter(part.metric for part in parts)
        for metric, times in counts.most_common(1):
            if times > 1:
                raise StudyError(f"{metric!r} is declared {times} times; keep one", place=place)


def _check_set_once(study: Study) -> None:
    """Check that no parameter of the task gets its value from two places."""
    for name in study.parameters:
        if name in study.space.parameters:
            raise StudyError(
                f"is both fixed (to {study.parameters[name]!r}) and searched under 'space'; "
                "drop one",
                place=f"parameters.{name}",
            )
    if "seed" in study.parameters:
        raise StudyError(
            f"is set by seeds.trial; move the value ({study.parameters['seed']!r}) there",
            place="parameters.seed",
        )
    if study.budget.epochs is None:
        return
    for place, names in (("parameters", study.parameters), ("space", study.space.parameters)):
        if "epochs" in names:
            raise StudyError(
                f"epochs are also set by budget.epochs = {study.budget.epochs}; drop one",
                place=f"{place}.epochs",
            )


def _check_effort(study: Study) -> None:
    set_here = {} if study.effort is None else study.effort.parameters()
    regime = None if study.effort is None else study.effort.regime
    for name in set_here:
        for place, names in (("parameters", study.parameters), ("space", study.space.parameters)):
            if name in names:
                raise StudyError(
                    "is set by the field effort, too; drop one of the two", place=f"{place}.{name}"
                )
    places = (study.parameters, study.space.parameters, *study.search.points)
    if regime == "gflop" and not any("effort_gflop" in names for names in (set_here, *places)):
        raise StudyError(
            "is missing; give a number, or vary the parameter effort_gflop", place="effort.gflop"
        )
    if regime == "plateau" and study.stopping is not None:
        raise StudyError(
            "compares trials at shares of their training, which effort plateau does not know "
            "beforehand; drop it or take effort: {gflop: N}",
            place="stopping",
        )
    if study.budget.epochs is not None and regime in ("gflop", "plateau"):
        raise StudyError(f"is found by effort {regime}; drop one of the two", place="budget.epochs")


def _check_seeds(seeds: Seeds, confirm: Confirm) -> None:
    if len(set(seeds.confirm)) < len(seeds.confirm):
        raise StudyError(
            f"repeats a seed, got {list(seeds.confirm)}; drop it", place="seeds.confirm"
        )
    if not seeds.confirm and confirm.retrain and confirm.select != "none":
        raise StudyError(
            "is empty, so nothing could be confirmed; list seeds or set confirm.select: none",
            place="seeds.confirm",
        )


def _check_draws(seeds: Seeds, confirm: Confirm) -> None:
    if confirm.select != "none" and confirm.teachers > max(1, len(seeds.confirm)):
        raise StudyError(
            f"is {confirm.teachers}, but seeds.confirm has {len(seeds.confirm)} seeds with one "
            "teacher each; list more seeds or set a smaller number",
            place="confirm.teachers",
        )


def _check_stopping(study: Study) -> None:
    if study.search.sampler == "points":
        raise StudyError(
            "would stop listed points early, but sampler 'points' trains all of them to their end; "
            "drop it or take another sampler",
            place="stopping",
        )
    if study.budget.epochs == 1:
        raise StudyError(
            "has no effect because budget.epochs is 1; drop it or train longer",
            place="stopping",
        )


def _check_searched(study: Study, name: str, place: str) -> None:
    if name not in study.space.names:
        raise StudyError(
            f"{name!r} is not a parameter of the space; {choose_from(name, study.space.names)}",
            place=place,
        )


def _check_kept(study: Study, name: str) -> None:
    _check_searched(study, name, "stopping.keep")
    count = study.space.parameters[name].size()
    if count is None:
        raise StudyError(
            f"{name!r} has too many values to keep a trial of each; name a choice",
            place="stopping.keep",
        )
    if count > study.budget.trials:
        raise StudyError(
            f"{name!r} has {count} values, and one trial of each is kept, but budget.trials is "
            f"{study.budget.trials}; raise it, or drop {name!r} here",
            place="stopping.keep",
        )
