"""The tasks of one trial, and the names that their parameters, numbers and arrays have together.

In a network of tasks a parameter ``method`` of the task ``csi-feedback`` is
``csi-feedback/method``, its metric ``val_nmse_db`` is ``val_csi-feedback/nmse_db``, and its array
``edge-0/w`` is ``csi-feedback/edge-0/w``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import KDTask, TeacherArtifact

T = TypeVar("T")

SPLITS = ("val", "test")
"""Prefixes of metrics, which stay in front of the task's name."""

SHARED = frozenset({"seed", "teacher_seed", "server_gflops", "precision", "tf32", "deterministic"})
"""Parameters that are the same for all tasks of a network: they have no task's name in front."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One task of a trial.

    Attributes:
        name: The task's name; empty if the trial has no other task.
        address: What `kdtasks.contract.registry.load_task` finds it by.
        task: The task.
        params: Its completed parameters, by its own names.
    """

    name: str
    address: str
    task: KDTask
    params: Params

    @property
    def teacher(self) -> str | None:
        """Fingerprint of its teacher; None for none."""
        return self.task.teacher_fingerprint(self.params)

    @property
    def teacher_key(self) -> str:
        """Key of its teacher within a sweep; another task may have an equal fingerprint."""
        return f"{self.name}-{self.teacher}" if self.name else str(self.teacher)

    def outside(self, parameter: str) -> str:
        """Return what a parameter of this task is called in the trial."""
        return parameter_of(self.name, parameter) if self.name else parameter

    def params_outside(self, own: Params) -> dict[str, Value]:
        """Return parameters of this task by their names in the trial."""
        return {self.outside(name): value for name, value in own.items()}

    def metrics_outside(self, own: Mapping[str, float]) -> dict[str, float]:
        """Return metrics of this task by their names in the trial."""
        return {metric_of(self.name, name): value for name, value in own.items()}


def parameter_of(part: str, own: str) -> str:
    """Return what a parameter of a task is called in a network of tasks."""
    return own if own in SHARED else f"{part}/{own}"


def metric_of(part: str, own: str) -> str:
    """Return what a metric of a task is called in a network of tasks."""
    split, _, rest = own.partition("_")
    return f"{split}_{part}/{rest}" if split in SPLITS and rest else f"{part}/{own}"


def arrays_of(part: str, arrays: Mapping[str, T]) -> dict[str, T]:
    """Return the arrays of one task, or what is known of each, by its own names."""
    before = f"{part}/"
    return {n.removeprefix(before): array for n, array in arrays.items() if n.startswith(before)}


def teacher_of(part: str, teacher: TeacherArtifact) -> TeacherArtifact:
    """Return the teacher of one task as it would be alone."""
    before = {**{f"{split}_{part}/": f"{split}_" for split in SPLITS}, f"{part}/": ""}
    return TeacherArtifact(
        metrics={
            own + name.removeprefix(outside): value
            for name, value in teacher.metrics.items()
            for outside, own in before.items()
            if name.startswith(outside)
        },
        weights=arrays_of(part, teacher.weights),
        outputs=arrays_of(part, teacher.outputs),
    )
