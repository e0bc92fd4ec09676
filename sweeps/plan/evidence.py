"""Evidence for checks of a task: data, teachers and students of one trial, created when needed."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import Params
from kdtasks.contract.reports import drained
from kdtasks.contract.task import (
    Arrays,
    KDTask,
    Outcome,
    Report,
    ScenarioData,
    TeacherArtifact,
    digest,
)
from kdtasks.network.task import parts_of
from search_spaces.stopping import Stopping
from sweeps.common.events import floats, work_failed
from sweeps.common.records import FailureKind
from sweeps.common.returned_values import fitting, wrong_params, wrong_scenario
from sweeps.ledger.student_weights import StudentStore
from sweeps.nodes.task_process import open_task
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.nodes.transport import InProcessTransport
from sweeps.progress.events import Display
from sweeps.workers.jobs import train_student, train_teacher

T = TypeVar("T")

TOLERANCE = 1e-4
"""Largest deviation, relative and absolute, of a number that is computed again in other batches."""

Trained = tuple[T, list[Report]]
"""The result of a training, and its reports."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of checking a law.

    Attributes:
        law: The law, in one clause.
        broken: How the law is broken, and the fix; empty if it holds.
        traceback: Of the task's error; empty if there was none.
    """

    law: str
    broken: str = ""
    traceback: str = ""


class UnfitError(Exception):
    """A task cannot be checked further, for the reason in the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"{finding.law}: {finding.broken}")
        self.finding = finding


def tried(what: str, work: Callable[[], T], *passing: type[Exception]) -> T:
    """Return the result of a method.

    Raises:
        UnfitError: If it raises anything but the errors that are ``passing``.
    """
    try:
        return work()
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, *passing)):
            raise
        failed = work_failed(error)
        law, broken = f"{what} runs without an error", failed.reason
        if failed.kind is FailureKind.CONTRACT:
            law, broken = f"{what} returns a valid value", broken.removeprefix(f"{what}: ")
        raise UnfitError(Finding(law, broken, failed.traceback)) from error


def needed(law: str, broken: str) -> None:
    """Check a law without which no other can be checked.

    Raises:
        UnfitError: If it is broken.
    """
    if broken:
        raise UnfitError(Finding(law, broken))


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Results of `KDTask.evaluate` for a student's stored weights, ``again`` on validation.

    ``wrote`` is whether the weights were modified.
    """

    val: dict[str, float]
    again: dict[str, float]
    test: dict[str, float]
    wrote: bool


class Evidence:
    """Data, teacher and students of a trial of a task.

    Args:
        name: The task's name, or ``package.module:Class``.
        params: Of a trial; they are completed.
        cache_dir: Of data that are slow to prepare.
        made: Cache of data and teachers, shared with other trials of the task.

    Raises:
        ConfigError: If the task is unknown or rejects the parameters.
        UnfitError: If its parameters cannot be completed.
    """

    def __init__(
        self, name: str, params: Params, cache_dir: Path, made: dict[str, Any] | None = None
    ) -> None:
        self.name, self.given, self.cache_dir = name, dict(params), cache_dir
        self.tolerance = TOLERANCE
        self._made: dict[str, Any] = {} if made is None else made
        self.task: KDTask = open_task(name)
        self.config: Params = tried(
            "complete",
            lambda: fitting("complete", self.task.complete(dict(params)), wrong_params),
            ConfigError,  # the parameters are wrong, not the task
        )
        for part in parts_of(self.task, self.config):
            if part.params.get("topology", "none") != "none":
                collaborative(part.task, part.params)

    def reseeded(self, name: str = "seed") -> Params:
        """Return the parameters with another seed."""
        return self.task.complete({**self.config, name: int(self.config.get(name, 0)) + 1})

    @property
    def taught(self) -> bool:
        """Whether the trial has a teacher."""
        return self.task.teacher_fingerprint(self.config) is not None

    def load(self, what: str = "load_scenario") -> ScenarioData:
        """Load the data, which may be modified.

        Raises:
            DataError: If a file is missing or damaged, which is no breach of the contract.
        """
        load = partial(
            self.task.load_scenario,
            self.config,
            cache_dir=self.cache_dir,
            progress=Display().data_progress,
        )
        try:
            found = tried(what, load)
        except UnfitError as error:
            if not isinstance(error.__cause__, DataError | OSError):
                raise
            reason = error.finding.broken.removeprefix("DataError: ")
            raise DataError(f"data of {self.name} cannot be loaded: {reason}") from error.__cause__
        needed("every split has samples, as arrays of numbers", wrong_scenario(found))
        return found

    @cached_property
    def data(self) -> ScenarioData:
        """The data, read-only as in Ray's object store."""
        key = f"data {self.task.scenario_fingerprint(self.config)}"
        if key not in self._made:
            self._made[key] = data = self.load()
            for split in (data.train, data.val, data.test):
                _read_only(split)
        found: ScenarioData = self._made[key]
        return found

    def teach(self, config: Params) -> Trained[TeacherArtifact]:
        """Train a teacher."""
        work = partial(train_teacher, self.name, config, self.data.train, self.data.val)
        return _trained("train_teacher", work)

    @cached_property
    def teaching(self) -> Trained[TeacherArtifact]:
        """The trial's teacher with its reports; read-only."""
        key = f"teacher {self.task.teacher_fingerprint(self.config)}"
        if key not in self._made:
            self._made[key] = artifact, _ = self.teach(self.config)
            _read_only(artifact.weights)
            _read_only(artifact.outputs)
        found: Trained[TeacherArtifact] = self._made[key]
        return found

    @property
    def teacher(self) -> TeacherArtifact | None:
        """The trial's teacher, if it has one."""
        return self.teaching[0] if self.taught else None

    def study(self, config: Params, rungs: Sequence[float] = ()) -> Trained[Outcome]:
        """Train a student, or those of a network, as a sweep does that compares at ``rungs``."""
        data = (self.data.train, self.data.val)
        deploy = partial(InProcessTransport, self.name, data, self.teacher)
        work = partial(train_student, self.task, config, deploy, rungs)
        return _trained("train_student", work)

    @cached_property
    def first_study(self) -> tuple[Trained[Outcome], bool]:
        """The trial's student with its reports, and whether its training modified shared arrays."""
        teacher = self.teacher
        shared = [self.data.train, self.data.val]
        shared += [teacher.weights, teacher.outputs] if teacher else []
        before = [digest(arrays) for arrays in shared]
        found = self.study(self.config)
        return found, [digest(arrays) for arrays in shared] != before

    @property
    def student(self) -> Outcome:
        """The trial's student."""
        outcome = self.first_study[0][0]
        none = "" if outcome.weights else "there are none; return those that evaluate needs"
        needed("a student has weights", none)
        return outcome

    @cached_property
    def second_student(self) -> Outcome:
        """A student of the same parameters; in a network it is judged on the way."""
        return self.study(self.config, Stopping().rungs)[0]

    def judge(self, what: str, judged: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Return the metrics that a method computes on a split."""
        return tried(what, lambda: floats(judged(), what))

    @cached_property
    def judged(self) -> Judged:
        """Evaluations of the student, with weights that were stored and loaded."""
        store = StudentStore(self.cache_dir / "contract")
        store.path.mkdir(exist_ok=True)
        store.put(0, self.student.weights)
        weights = store.get(0)
        before = digest(weights)

        def of(what: str, split: Arrays) -> dict[str, float]:
            return self.judge(what, partial(self.task.evaluate, self.config, weights, split))

        val = of("evaluate", self.data.val)
        test = of("evaluate on the test split", self.data.test)
        again = of("evaluate", self.data.val)
        return Judged(val=val, test=test, again=again, wrote=digest(weights) != before)


def _trained(what: str, start: Callable[[], Generator[Report, None, T]]) -> Trained[T]:
    reports, result = tried(what, lambda: drained(start()))
    return result, reports


def _read_only(arrays: Arrays) -> None:
    for array in arrays.values():
        array.setflags(write=False)


def as_in_json(params: Any) -> dict[str, Any]:
    """Return parameters after a round trip through JSON."""
    return dict(json.loads(json.dumps(dict(params))))
