"""A study: one YAML file that says what is swept, what is wanted and at what expense."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from search_spaces import study_schema
from search_spaces.domains import Value
from search_spaces.door import enter
from search_spaces.errors import StudyError, choose_from
from search_spaces.from_schema import (
    each,
    expand_points,
    make_constraint,
    make_objective,
    make_report,
    make_resources,
    make_search,
    make_space,
    make_stopping,
)
from search_spaces.objectives import Constraint, Objective
from search_spaces.reading import MOST_STUDY_BYTES, read_text
from search_spaces.report_spec import ReportSpec
from search_spaces.resources import TrialResources
from search_spaces.search import Search, check_search
from search_spaces.space import Space
from search_spaces.stopping import Stopping
from search_spaces.study_paths import settle_paths
from search_spaces.study_yaml import apply_overrides, dump_yaml, load_yaml


@dataclass(frozen=True)
class Budget:
    """When the search ends.

    Attributes:
        trials: Number of trials, points included; those that are stopped early count in full.
        epochs: Passed on as the task's parameter ``epochs``; None leaves the task's default.
        time_s: Wall time of the search [s]; None for no limit.
    """

    trials: int
    epochs: int | None = None
    time_s: float | None = None


@dataclass(frozen=True)
class Seeds:
    """Where randomness starts.

    Attributes:
        search: Of the sampler.
        trial: The task's parameter ``seed``, unless a trial sets it.
        confirm: The task's parameter ``seed`` in each repetition of a confirmed trial.
    """

    search: int = 0
    trial: int = 0
    confirm: tuple[int, ...] = (101, 102, 103)


@dataclass(frozen=True)
class Confirm:
    """Which trials are judged on the test split.

    Attributes:
        select: The members of the front, all finished trials, or none.
        retrain: Train anew with each seed of ``Seeds.confirm``; otherwise the trial's own weights
            are evaluated.
        limit: At most so many trials; None for no limit.
        epsilon: Trials beside the front are judged, too, if they are in no objective further behind
            one of its members than this share of the front's range; 0 for the front alone. Like
            ``limit`` it may stand where nothing is judged, so that a study is quickly told not to.
    """

    select: Literal["front", "all", "none"] = "front"
    retrain: bool = True
    limit: int | None = None
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        if self.epsilon and self.select == "all":
            raise StudyError(
                "adds trials beside the front, but select is 'all'; drop one of the two",
                place="confirm.epsilon",
            )


@dataclass(frozen=True, kw_only=True)
class Study:
    """A sweep as it was asked for; checked when made.

    Attributes:
        name: Lower-case words joined by hyphens.
        title: One line.
        description: What the study is for.
        task: Name of a task, or ``package.module:Class``.
        parameters: Parameters of the task that stay fixed.
        space: Parameters that are searched.
        objectives: What is optimised, at least one.
        constraints: Bounds that members of the front keep.
        search: How configurations are proposed.
        budget: When the search ends.
        seeds: Where randomness starts.
        confirm: Which trials are judged on the test split.
        stopping: Which trials are stopped early; None trains all of them to their end.
        resources: What a trial takes of the machines, and how many run at once.
        report: Published tables and claims to compare with.
        text: The YAML as resolved, overrides applied; ``parse_study`` of it gives this study.

    Raises:
        StudyError: If parts contradict one another.
    """

    name: str
    title: str
    description: str
    task: str
    parameters: Mapping[str, Value]
    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    search: Search
    budget: Budget
    seeds: Seeds
    confirm: Confirm
    stopping: Stopping | None = None
    resources: TrialResources = field(default_factory=TrialResources)
    report: ReportSpec = field(default_factory=ReportSpec)
    text: str = ""

    def __post_init__(self) -> None:
        _check_wanted(self.objectives, self.constraints)
        _check_set_once(self)
        check_search(self.search, self.space)
        _check_seeds(self.seeds, self.confirm)
        if self.stopping is not None:
            _check_stopping(self)
            for name in self.stopping.keep:
                _check_kept(self, name)


def available() -> dict[str, str]:
    """Return name and title of every study that comes with the package, by name."""
    return {
        name: parse_study(file.read_text(encoding="utf-8"), f"studies/{file.name}").title
        for name, file in _shipped().items()
    }


def names() -> list[str]:
    """Return the names of the studies that come with the package; reads none of them."""
    return list(_shipped())


def load_study(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Return a study that comes with the package, by name, or one from a file, by path.

    Relative paths in parameters begin at the study's folder, in ``overrides`` at the current one,
    see `study_paths`; the study that is returned has them whole.

    Args:
        name_or_path: A path if it ends in ``.yaml`` or ``.yml``, otherwise a name.
        overrides: Settings such as ``budget.trials=4`` or ``space.width.high=8``: a dotted path
            into the file (numbers count list elements from 0), ``=``, a value in YAML.

    Raises:
        StudyError: If there is no such study, or it cannot be right.
    """
    text, source = _read(str(name_or_path))
    raw = load_yaml(text, source)
    changed = settle_paths(raw, Path(source).expanduser().parent)
    if overrides:
        apply_overrides(raw, overrides, tuple(study_schema.StudyDoor.model_fields))
        settle_paths(raw, Path())
        changed, source = True, f"{source} with --set {' '.join(overrides)}"
    return parse_study(dump_yaml(raw) if changed else text, source)


def parse_study(text: str, source: str) -> Study:
    """Return the study that ``text`` describes.

    Args:
        text: YAML.
        source: What to call it in errors, usually the file's path.

    Raises:
        StudyError: If it cannot be right; the message names ``source``, field, value and fix.
    """
    raw = load_yaml(text, source)
    try:
        return _build(enter(study_schema.StudyDoor, raw), text)
    except StudyError as error:
        raise error.of(source) from error


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of study files; it is shipped as ``study.schema.json``."""
    return study_schema.json_schema()


def schema_file() -> Path:
    """Return the file with that schema, for editors."""
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


def _build(door: study_schema.StudyDoor, text: str) -> Study:
    space = make_space(door.space)
    points = expand_points(door.search.points, space, whole=door.search.sampler == "points")
    return Study(
        name=door.name,
        title=door.title,
        description=door.description,
        task=door.task,
        parameters=door.parameters,
        space=space,
        objectives=each("objectives", make_objective, door.objectives),
        constraints=each("constraints", make_constraint, door.constraints),
        search=make_search(door.search, points),
        budget=Budget(_trials(door, space, len(points)), door.budget.epochs, door.budget.time),
        seeds=Seeds(door.seeds.search, door.seeds.trial, tuple(door.seeds.confirm)),
        confirm=Confirm(
            door.confirm.select, door.confirm.retrain, door.confirm.limit, door.confirm.epsilon
        ),
        stopping=make_stopping(door.stopping),
        resources=make_resources(door.resources),
        report=make_report(door.report),
        text=text,
    )


def _trials(door: study_schema.StudyDoor, space: Space, num_points: int) -> int:
    """Return the number of trials; for ``points`` and ``grid`` the default is all of them."""
    everything = {"points": num_points, "grid": space.size()}.get(door.search.sampler)
    trials = door.budget.trials or everything
    if not trials:
        raise StudyError("is missing; give a number of trials above 0", place="budget.trials")
    return trials


def _check_wanted(objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
    if not objectives:
        raise StudyError("is empty; name at least one objective", place="objectives")
    for place, metrics in (
        ("objectives", Counter(objective.metric for objective in objectives)),
        ("constraints", Counter(constraint.metric for constraint in constraints)),
    ):
        metric, times = metrics.most_common(1)[0] if metrics else ("", 0)
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


def _check_stopping(study: Study) -> None:
    if study.search.sampler == "points":
        raise StudyError(
            "would leave listed points without result, but sampler is 'points', which wants all "
            "of them; drop it or take another sampler",
            place="stopping",
        )
    if study.budget.epochs == 1:
        raise StudyError(
            "has nothing to save, because budget.epochs is 1; drop it or train longer",
            place="stopping",
        )


def _check_kept(study: Study, name: str) -> None:
    if name not in study.space.names:
        raise StudyError(
            f"{name!r} is not a parameter of the space; {choose_from(name, study.space.names)}",
            place="stopping.keep",
        )
    count = study.space.parameters[name].domain.size()
    if count is None:
        raise StudyError(
            f"{name!r} has no end of values, and of each one trial would be kept; name a parameter "
            "that is a choice",
            place="stopping.keep",
        )
    if count > study.budget.trials:
        raise StudyError(
            f"{name!r} has {count} values, and of each one trial is kept, but budget.trials is "
            f"{study.budget.trials}; raise it, or drop {name!r} here",
            place="stopping.keep",
        )
