"""The contract between a distillation task and the engine that sweeps it.

The engine knows parameters (JSON scalars), arrays and numbers; it never sees a network. A task
turns parameters into data, teachers and trained students. Everything that a task hands out can be
written to disk without pickle.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import Decision, Settings, param
from kdtasks.contract.source_code import OURS, files_beside

if TYPE_CHECKING:
    from kdtasks.contract.deployable import Deployable

Arrays = Mapping[str, NDArray[Any]]
"""Named arrays: a split of a data set, the weights of a model, the outputs of a teacher."""

SplitName = Literal["train", "val", "test"]

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, unit)`` while data are made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricInfo:
    """What a number means.

    Attributes:
        unit: Unit as printed in tables, for example ``"dB"``; empty for a pure number.
        direction: Which way is better.
        description: One line for tables and tooltips, with the convention where several exist.
    """

    unit: str
    direction: Literal["minimize", "maximize"]
    description: str


def down(unit: str, description: str) -> MetricInfo:
    """Describe a number of which less is better."""
    return MetricInfo(unit=unit, direction="minimize", description=description)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioData:
    """One scenario, split once.

    Attributes:
        train: Arrays of the training split; the first axis counts samples.
        val: Validation split: all that a search may use.
        test: Test split; the engine opens it only for reports.
        provenance: JSON facts about the data: source, settings, seeds, split manifest, counts,
            fingerprint. Never empty. Under ``notes`` lines on what is wrong with files, if anything
            is: they are shown before anything is trained, and in the report.
    """

    train: Arrays
    val: Arrays
    test: Arrays
    provenance: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a training reports after each epoch.

    Attributes:
        epoch: Epochs done, over all stages, from 1.
        epochs: Epochs planned, over all stages.
        metrics: Numbers known so far, by name; validation metrics start with ``val_``.
        left: Returns what the training would return if it ended now; None if that is unknown. A
            node of a network needs it, to have its student judged on the way. It draws nothing at
            random and leaves the training as it is.
    """

    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    left: Callable[[], Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a finished training leaves.

    Attributes:
        metrics: Final numbers: validation metrics, complexity, costs of training.
        weights: State of the student by tensor name, as needed by ``KDTask.evaluate``.
    """

    metrics: Mapping[str, float]
    weights: Arrays


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherArtifact:
    """A trained teacher and its outputs on the fixed training inputs.

    Attributes:
        metrics: Validation metrics and cost of its training.
        weights: State of the teacher by tensor name.
        outputs: Its outputs on the training split, in the order of the samples.
        decided_by: Parameters that its training looked up by name, with their values; the engine
            fills this in. ``teacher_fingerprint`` must distinguish them.
    """

    metrics: Mapping[str, float]
    weights: Arrays
    outputs: Arrays
    decided_by: Params = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A reference that is computed, not searched: PCA, zero forcing, majority beam.

    Attributes:
        name: Unique within the sweep, for example ``"PCA 1/16"``.
        params: The parameters that it depends on.
        metrics: Complexity and ``val_`` and ``test_`` metrics.
    """

    name: str
    params: Mapping[str, Value]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnData:
    """Parameters that make a task read files of the user's own.

    Attributes:
        parameters: Parameters that make it read them.
        idle: Parameters of made data, which change nothing about data that are read.
        defaults: Parameters that fit the files better than the task's own defaults do; what the
            study sets itself wins.
    """

    parameters: Mapping[str, Value]
    idle: frozenset[str]
    defaults: Mapping[str, Value] = field(default_factory=dict)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == OURS


DERIVED: dict[str, tuple[Decision, ...]] = {
    "resource_parameters": ("data", "made data", "teacher"),
    "baseline_parameters": ("baselines",),
}
"""Fields of a task that follow from what its parameters decide."""


class KDTask(ABC):
    """A distillation problem: data, teacher, students, methods, metrics.

    Every method takes the parameters of a trial and completes them itself, so that a worker needs
    nothing but JSON. All randomness follows from the parameters ``seed`` and ``teacher_seed``.

    Generators of one's own are best, see `kdtasks.learning.random`. The libraries' are seeded
    before every piece of work, and torch's defaults set back; but torch only where it is imported
    by then, so a task of torch imports it at the head of its module and not in a method.
    """

    name: ClassVar[str]
    """Name in study files."""

    metrics: ClassVar[Mapping[str, MetricInfo]]
    """Every number that ``training`` reports at its end."""

    settings: ClassVar[type[Settings]]
    """The parameters, declared once. A task with few of them gives ``parameters`` instead, whose
    settings these become; one that gives neither defines all that follows from them itself."""

    parameters: ClassVar[Mapping[str, Any]]
    """What `kdtasks.contract.settings.param` returns, by name; ``seed`` is always among them."""

    base_settings: ClassVar[type[Settings]] = Settings
    """What ``parameters`` are added to."""

    resource_parameters: ClassVar[frozenset[str]]
    """Parameters that decide which data and which teacher a trial needs. In a search space they
    must be finite choices, because data and teachers are made before the first trial."""

    baseline_parameters: ClassVar[frozenset[str]]
    """Parameters that decide the baselines of a scenario; a subset of the above."""

    any_device: ClassVar[bool] = False
    """Whether the engine may let it compute on a GPU: all its tensors then come from arrays by
    `kdtasks.learning.tensors.as_tensor`, and go back by ``to_array``."""

    teacher_splits: ClassVar[tuple[Literal["train", "val"], ...]] = ("train", "val")
    """What ``train_teacher`` is given of a scenario; another one then has another teacher. Empty if
    teachers have data of their own, so that several scenarios share one."""

    _file_times: ClassVar[Mapping[str, int]]
    """When its own file and those beside it were changed, as the class was defined."""

    def __init_subclass__(cls) -> None:
        """Derive from the declared parameters what the class does not define itself."""
        own = vars(cls)
        cls._file_times = {} if _is_ours(cls.__module__) else files_beside(cls.__module__)
        if "parameters" in own and "settings" not in own:
            known = {"seed": param(0, low=0, help="of the student"), **cls.parameters}
            cls.settings = cls.base_settings.made_of(known, task=getattr(cls, "name", cls.__name__))
        if "settings" in vars(cls):
            for field, decisions in DERIVED.items():
                if field not in own:
                    setattr(cls, field, cls.settings.deciding(*decisions))

    def complete(self, params: Params) -> dict[str, Value]:
        """Return ``params`` checked and with defaults filled in, in a fixed order.

        Raises:
            ConfigError: Naming the parameter, the value and what would be accepted.
        """
        return self.settings.resolve(params).completed()

    def own_data(self, path: Path, params: Params) -> OwnData:  # noqa: ARG002
        """Return what makes trials read the user's own files, after an inspection of these.

        Args:
            path: A folder or a file.
            params: What the study fixes, such as how to read them.

        Raises:
            ConfigError: If the task reads no files, or does not recognise these.
            DataError: If there are none, or none that it can use.
        """
        raise ConfigError(f"{path}: task {self.name} reads no files of your own")

    @abstractmethod
    def scenario_fingerprint(self, params: Params) -> str:
        """Return the identity of the data that a trial needs, as far as parameters decide it.

        Contents need not be in it: the engine takes digests of the arrays.
        """

    @abstractmethod
    def teacher_fingerprint(self, params: Params) -> str | None:
        """Return the identity of a trial's teacher as far as parameters decide it; None for none.

        All that ``train_teacher`` looks up must be in it. Data and code need not: the engine takes
        digests of them.
        """

    @abstractmethod
    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        """Read or make the data; what is slow to make is kept in ``cache_dir``.

        For a task of one's own that is a folder for one version of its code.

        Raises:
            DataError: If a file is missing, damaged or of the wrong layout.
        """

    def rehearse(self, trials: Sequence[Params], data: ScenarioData) -> None:  # noqa: B027
        """Try trials on a few samples before anything is trained, if that can tell what is wrong.

        Args:
            trials: Completed parameters; all have these data.
            data: As `load_scenario` has returned them; they stay as they are.

        Raises:
            ConfigError: Naming what does not fit, and the fix.
        """

    @abstractmethod
    def cost(self, params: Params) -> dict[str, float]:
        """Return the complexity of the student, known before it is trained."""

    @abstractmethod
    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train the teacher of a trial; yields a report per epoch."""

    @abstractmethod
    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        """Train the student of a trial; yields a report per epoch."""

    @abstractmethod
    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        """Return the quality metrics of a trained student on one split, without prefix."""

    def deployable(self, params: Params, weights: Arrays) -> "Deployable":  # noqa: ARG002
        """Return a trained student as the networks that its nodes run.

        Raises:
            ConfigError: If the task does not define it, or not for such a student.
        """
        raise ConfigError(
            f"task {self.name} does not define how its students are deployed; give its class the "
            "method deployable, see kdtasks.contract.task.KDTask and docs/own-task.md"
        )

    @abstractmethod
    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        """Return the quality metrics of the teacher on one split, without prefix."""

    @abstractmethod
    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return the references that need no search."""

    def worst_values(self, params: Params) -> dict[str, float]:  # noqa: ARG002
        """Return the worst values that still count, by metric, as far as no training is needed.

        They are where the hypervolume begins if the study names no other reference.
        """
        return {}

    @abstractmethod
    def models(self) -> list[dict[str, Any]]:
        """Describe the published networks: one JSON row each, with parameters and FLOPs."""


def digest(arrays: Arrays) -> str:
    """Return an identity of arrays: names, types, shapes and every bit."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def prefixed(split: SplitName, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return ``metrics`` with the split's name in front, so that no number hides its origin."""
    return {f"{split}_{name}": value for name, value in metrics.items()}


def as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return the array as float32 without copying when it already is."""
    return np.asarray(array, dtype=np.float32)
