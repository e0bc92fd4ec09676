"""What runs in a worker process, as plain generators; importable without Ray, Optuna and MLflow.

Work for worker processes, seen from the driver; who carries it out is not said here.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    KDTask,
    Report,
    ScenarioData,
    TeacherArtifact,
    prefixed,
)
from sweeps.common.events import Event, Training, floats
from sweeps.common.records import JobKind
from sweeps.common.returned_values import fitting, generated, wrong_baselines, wrong_teacher
from sweeps.nodes.conductor import conduct
from sweeps.nodes.task_process import open_task, start_afresh
from sweeps.nodes.transport import Transport, in_process


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """What a trial process is told.

    Attributes:
        number: The trial's number in the ledger.
        config: All parameters of the task, completed.
        scenario: Fingerprint of its scenario.
        teacher: Fingerprint of its teacher, if it has one.
    """

    number: int
    config: Params
    scenario: str
    teacher: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a trial comes to.

    Attributes:
        metrics: Its numbers.
        weights: Its student, or those of a network.
    """

    metrics: dict[str, float]
    weights: Arrays


class _Watched(dict[str, Value]):
    """Parameters that remember which of them were looked up by name.

    Whoever takes them all at once, to check and complete them, is not seen to depend on any.
    """

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Value:
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.update({name} & self.keys())
        return super().get(name, default)


def _fresh_task(name: str, params: Params, seed: str = "seed") -> KDTask:
    """Return a task in a process in which nothing is left of earlier work."""
    task = open_task(name)
    start_afresh(int(params.get(seed, 0)))
    return task


def train_student(
    task: KDTask, params: Params, deploy: Callable[[], Transport]
) -> Training[Trained]:
    """Train a student, or those of a network; nothing is written.

    Returns:
        The metrics, with wall time ``trial_wall_s`` and processor time of all nodes ``trial_cpu_s``
        [s], and the weights.
    """
    wall_s = time.perf_counter()
    transport = deploy()
    outcome = yield from conduct(task, params, transport)
    metrics = {**floats(task.cost(params), "cost"), **floats(outcome.metrics)}
    metrics["trial_wall_s"] = time.perf_counter() - wall_s
    metrics["trial_cpu_s"] = transport.cpu_s
    return Trained(metrics=metrics, weights=outcome.weights)


def train_teacher(
    task_name: str, params: Params, train: Arrays, val: Arrays
) -> Training[TeacherArtifact]:
    """Train the teacher of ``params``, on no other splits than those that decide on it."""
    task = _fresh_task(task_name, params, "teacher_seed")
    wall_s = time.perf_counter()
    seen, watched = task.teacher_splits, _Watched(params)
    work = task.train_teacher(
        watched, train if "train" in seen else {}, val if "val" in seen else {}
    )
    artifact = yield from generated("train_teacher", work)
    fitting("train_teacher", artifact, wrong_teacher)
    metrics = {**floats(artifact.metrics), "trial_wall_s": time.perf_counter() - wall_s}
    return replace(artifact, metrics=metrics, decided_by={n: params[n] for n in watched.names})


def confirm_by_training(
    task_name: str,
    params: Params,
    train: Arrays,
    val: Arrays,
    teacher: TeacherArtifact | None,
    test: Arrays,
) -> Training[dict[str, float]]:
    """Train a student anew, or those of a network; returns metrics with those of the test split."""
    task = open_task(task_name)
    deploy = partial(in_process, task_name, params, (train, val), teacher)
    student = yield from train_student(task, params, deploy)
    tested = task.evaluate(params, student.weights, test)
    return {**student.metrics, **prefixed("test", floats(tested, "evaluate"))}


def confirm_by_weights(
    task_name: str, params: Params, test: Arrays, weights: Arrays
) -> Training[dict[str, float]]:
    """Return the metrics of a trial's own student on the test split."""
    yield Report(epoch=0, epochs=0, metrics={})
    task = _fresh_task(task_name, params)
    return prefixed("test", floats(task.evaluate(params, weights, test), "evaluate"))


def assess_teacher(
    task_name: str, params: Params, teacher: TeacherArtifact, test: Arrays
) -> Training[dict[str, float]]:
    """Return the metrics of a teacher on the test split."""
    yield Report(epoch=0, epochs=0, metrics={})
    task = _fresh_task(task_name, params, "teacher_seed")
    judged = floats(task.evaluate_teacher(params, teacher.weights, test), "evaluate_teacher")
    return prefixed("test", judged)


def assess_baselines(
    task_name: str,
    params: Params,
    train: Arrays,
    val: Arrays,
    test: Arrays,
    provenance: Mapping[str, Any],
) -> Training[list[Baseline]]:
    """Return the references of a scenario."""
    yield Report(epoch=0, epochs=0, metrics={})
    data = ScenarioData(train=train, val=val, test=test, provenance=provenance)
    found = _fresh_task(task_name, params).baselines(params, data)
    return list(fitting("baselines", found, wrong_baselines))


Handle = Any
"""A value that every worker can read without copying; workers receive the value itself."""


Starting = Callable[[], AbstractContextManager[None]]
"""Makes what is entered while processes are started that must not outlive this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One piece of work.

    Attributes:
        kind: What it makes.
        key: Unique among the jobs of a run.
        function: Importable generator function of ``sweeps.workers.jobs``.
        args: Its arguments; handles stand for their values.
        load: Makes further arguments, in the driver, when the job is begun: what lies in a file is
            not in memory while the job waits. If that is a `UserError`, the job fails.
    """

    kind: JobKind
    key: str
    function: Callable[..., Training[Any]]
    args: tuple[Any, ...]
    load: Callable[[], tuple[Any, ...]] = tuple


class Pool(Protocol):
    """Carries out jobs, several at once."""

    def put(self, value: object) -> Handle:
        """Place a value where every worker reads it."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        """Carry out ``jobs`` and yield their events as they come; each job has a last event."""
