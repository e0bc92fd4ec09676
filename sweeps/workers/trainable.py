"""The Tune trainable, which runs trials in worker processes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.tune import Trainable

from kdtasks.contract.params import Params
from kdtasks.contract.task import KDTask, Outcome
from sweeps.common.capacity import ResourceAllocation
from sweeps.common.events import Event, Training, WorkFailedError, events
from sweeps.common.records import FailureKind
from sweeps.nodes.ray_actors import ActorLostError, NodeActors, Ref
from sweeps.nodes.task_process import open_task, take_gpu
from sweeps.nodes.transport import InProcessTransport, Transport
from sweeps.workers.jobs import Assignment, train_student

ASSIGNMENT = "assignment"
"""The only entry of a trial's Tune configuration."""
EVENT = "event"
"""Our only entry in a trial's results; not a dict, which Tune would flatten."""
ATTEMPTS = 2
"""Attempts of a trial whose node actors die; those whose machine is lost do not count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """Data that all trials read.

    Attributes:
        splits: References to training and validation split, by the scenario's fingerprint.
        teachers: References to teachers by fingerprint.
        allocation: Node actors of a trial and the resources of each.
        rungs: Shares of a training at which trials are compared.
    """

    task: str
    splits: Mapping[str, tuple[Ref, Ref]]
    teachers: Mapping[str, Ref]
    allocation: ResourceAllocation
    rungs: tuple[float, ...]


class StudentTrial(Trainable):
    """Runs assignments one after the other; reports one result per epoch.

    The nodes are in its own actors, which it reuses, or in its own process.
    """

    _task: KDTask | None
    _shared: Shared
    _actors: NodeActors
    _events: Iterator[Event]

    def setup(self, config: dict[str, Any], shared: Shared | None = None) -> None:
        """Begin the first assignment; ``shared`` is never None, but Tune requires a default."""
        assert shared is not None
        self._shared = shared
        self._actors = NodeActors(shared.task, shared.allocation.actors, shared.allocation.share)
        self._actors.start()  # they start while this process imports the task
        self._task = None
        with suppress(Exception):  # a trial can only report it after it has begun
            self._task = open_task(shared.task)
        self._actors.warm_up()
        self._begin(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next assignment with the same node actors."""
        self._begin(new_config[ASSIGNMENT])
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next event and return it."""
        event = next(self._events)
        return {EVENT: event, "done": event.done}

    def cleanup(self) -> None:
        """End the node actors."""
        self._actors.stop()

    def _begin(self, assignment: Assignment) -> None:
        self._events = events(self._train(assignment))

    def _train(self, assignment: Assignment) -> Training[Outcome]:
        """Run an assignment; retry it on new actors if one of them dies."""
        task = self._task or open_task(self._shared.task)
        take_gpu(0.0 if self._shared.allocation.actors else self._shared.allocation.share.gpus)
        deploy = partial(self._deploy, assignment)
        attempts = 0
        while True:
            try:
                return (
                    yield from train_student(task, assignment.config, deploy, self._shared.rungs)
                )
            except ActorLostError as error:
                attempts += not error.with_machine
                if attempts == ATTEMPTS:
                    reason = f"{error}, also when the trial was retried"
                    cause = str(error.__cause__ or "")
                    raise WorkFailedError(reason, cause, FailureKind.NODE_LOST) from error

    def _deploy(self, assignment: Assignment, params: Params, part: str) -> Transport:
        # called in a generator, so that a failed read of the data fails the trial
        data, teacher = self._shared.splits[assignment.scenario], None
        if assignment.teacher is not None:
            teacher = self._shared.teachers[assignment.teacher]
        if self._shared.allocation.actors:
            return self._actors.deploy(params, data, teacher, part)
        read = (ray.get(data[0]), ray.get(data[1]))
        taught = None if teacher is None else ray.get(teacher)
        return InProcessTransport(self._shared.task, read, taught, params, part)
