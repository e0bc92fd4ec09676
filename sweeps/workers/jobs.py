"""Work of worker processes, as plain generators; importable without Ray, Optuna and MLflow."""

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
    Outcome,
    Report,
    ScenarioData,
    TeacherArtifact,
    prefixed,
)
from kdtasks.network.parts import arrays_of
from sweeps.common.events import Event, Training, floats
from sweeps.common.records import JobKind
from sweeps.common.returned_values import fitting, generated, wrong_baselines, wrong_teacher
from sweeps.nodes.conductor import Deploy, conduct_all
from sweeps.nodes.task_process import computed, computing, open_task, start_afresh
from sweeps.nodes.transport import InProcessTransport


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A trial for a worker process, with the fingerprints of its scenario and teacher."""

    number: int
    config: Params
    scenario: str
    teacher: str | None


class _Watched(dict[str, Value]):
    """Parameters that record which of them are looked up by name; copying all records none."""

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
    """Open a task after resetting the process's state, seeded by the parameter named ``seed``."""
    task = open_task(name)
    start_afresh(int(params.get(seed, 0)))
    return task


def train_student(
    task: KDTask, params: Params, deploy: Deploy, rungs: Sequence[float] = ()
) -> Training[Outcome]:
    """Train a student, or those of a network, on the nodes that ``deploy`` creates.

    Those of a network are judged on the way at ``rungs``, shares of their training.

    Returns:
        The weights, of all students in a network, and the metrics, with wall time ``trial_wall_s``
        and CPU time of all nodes ``trial_cpu_s`` [s].
    """
    wall_s = time.perf_counter()
    outcome, cpu_s = yield from conduct_all(task, params, deploy, rungs)
    metrics = {**floats(task.cost(params), "cost"), **floats(outcome.metrics)}
    metrics["trial_wall_s"] = time.perf_counter() - wall_s
    metrics["trial_cpu_s"] = cpu_s
    return Outcome(metrics=metrics, weights=outcome.weights)


def train_teacher(
    task_name: str, params: Params, train: Arrays, val: Arrays, part: str = ""
) -> Training[TeacherArtifact]:
    """Train the teacher of ``params`` on the task's ``teacher_splits`` only.

    With ``part`` the arrays are those of a network, in which the task has this name.
    """
    if part:
        train, val = arrays_of(part, train), arrays_of(part, val)
    task = _fresh_task(task_name, params, "teacher_seed")
    wall_s = time.perf_counter()
    seen, watched = task.teacher_splits, _Watched(params)
    work = task.train_teacher(
        watched, train if "train" in seen else {}, val if "val" in seen else {}
    )
    artifact = yield from computed(task, {}, generated("train_teacher", work))
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
    """Train a student, or those of a network, again; return all metrics, with test metrics."""
    task = open_task(task_name)
    deploy = partial(InProcessTransport, task_name, (train, val), teacher)
    student = yield from train_student(task, params, deploy)
    with computing(task, params):
        tested = task.evaluate(params, student.weights, test)
    return {**student.metrics, **prefixed("test", floats(tested, "evaluate"))}


def confirm_by_weights(
    task_name: str, params: Params, test: Arrays, weights: Arrays
) -> Training[dict[str, float]]:
    """Return the metrics of a trial's own student on the test split."""
    yield Report(epoch=0, epochs=0, metrics={})
    task = _fresh_task(task_name, params)
    with computing(task, params):
        return prefixed("test", floats(task.evaluate(params, weights, test), "evaluate"))


def assess_teacher(
    task_name: str, params: Params, teacher: TeacherArtifact, test: Arrays
) -> Training[dict[str, float]]:
    """Return the metrics of a teacher on the test split."""
    yield Report(epoch=0, epochs=0, metrics={})
    task = _fresh_task(task_name, params, "teacher_seed")
    with computing(task, {}):
        judged = task.evaluate_teacher(params, teacher.weights, test)
    return prefixed("test", floats(judged, "evaluate_teacher"))


def assess_baselines(
    task_name: str,
    params: Params,
    train: Arrays,
    val: Arrays,
    test: Arrays,
    provenance: Mapping[str, Any],
) -> Training[list[Baseline]]:
    """Return the baselines of a scenario."""
    yield Report(epoch=0, epochs=0, metrics={})
    data = ScenarioData(train=train, val=val, test=test, provenance=provenance)
    found = _fresh_task(task_name, params).baselines(params, data)
    return list(fitting("baselines", found, wrong_baselines))


Handle = Any
"""A handle for a value that all workers read without copying; workers receive the value."""


Starting = Callable[[], AbstractContextManager[None]]
"""Makes the context in which processes are started that must not outlive this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job for a worker.

    Attributes:
        key: Unique among the jobs of a run.
        function: Importable generator function of ``sweeps.workers.jobs``.
        args: Its arguments; handles stand for their values.
        load: Makes further arguments in the driver when the job starts, so that waiting jobs hold
            no file contents in memory. If it raises a `UserError`, the job fails.
    """

    kind: JobKind
    key: str
    function: Callable[..., Training[Any]]
    args: tuple[Any, ...]
    load: Callable[[], tuple[Any, ...]] = tuple


class Pool(Protocol):
    """Runs jobs in parallel."""

    def put(self, value: object) -> Handle:
        """Store a value for all workers."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        """Run ``jobs`` and yield their events as they arrive; each job has a last event."""
