"""What Ray runs in worker processes: the Tune trainable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import ray
from ray.tune import Trainable

from kdtasks.task import KDTask
from sweeps.events import Event, Training, events
from sweeps.open_task import open_task
from sweeps.worker import Assignment, train_student

Ref: TypeAlias = ray.ObjectRef[Any]

ASSIGNMENT = "assignment"
"""The one entry of a trial's Tune configuration."""
EVENT = "event"
"""The one entry of a trial's results that is ours; not a dict, so that Tune does not flatten it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all trials read.

    Attributes:
        task: Name of the task.
        weights: Folder for the students' weights.
        splits: References to training and validation split, by the scenario's fingerprint.
        teachers: References to teachers by fingerprint.
    """

    task: str
    weights: Path
    splits: Mapping[str, tuple[Ref, Ref]]
    teachers: Mapping[str, Ref]


class StudentTrial(Trainable):
    """Trains one student per assignment; one result per epoch; its process is used again."""

    _task: KDTask
    _shared: Shared
    _events: Iterator[Event]

    def setup(self, config: dict[str, Any], shared: Shared | None = None) -> None:
        """Take over the first assignment.

        Args:
            config: The trial's Tune configuration.
            shared: What all trials read; never None, but Tune's signature wants a default.
        """
        assert shared is not None
        self._shared = shared
        self._task = open_task(shared.task)
        self._begin(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take over the next assignment."""
        self._begin(new_config[ASSIGNMENT])
        return True

    def step(self) -> dict[str, Any]:
        """Train an epoch; return what is to be said about it."""
        event = next(self._events)
        return {EVENT: event, "done": event.done}

    def _begin(self, assignment: Assignment) -> None:
        self._events = events(self._train(assignment))

    def _train(self, assignment: Assignment) -> Training[dict[str, float]]:
        # in a generator, so that a failing read of the data counts as a failure of the trial
        data = tuple(ray.get(list(self._shared.splits[assignment.scenario])))
        teacher = None
        if assignment.teacher is not None:
            teacher = ray.get(self._shared.teachers[assignment.teacher])
        path = self._shared.weights / f"trial-{assignment.number}.safetensors"
        metrics, _ = yield from train_student(self._task, assignment.config, data, teacher, path)
        return metrics
