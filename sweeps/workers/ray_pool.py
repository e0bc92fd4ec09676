"""Runs jobs in worker processes of Ray."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError, RayTaskError

from kdtasks.contract.error_text import one_line, printable
from kdtasks.contract.errors import UserError
from sweeps.common.capacity import ResourceAllocation
from sweeps.common.events import Event, Training, events
from sweeps.common.records import FailureKind
from sweeps.common.secrets import redacted
from sweeps.nodes.ray_machines import machine_lost
from sweeps.nodes.task_process import take_gpu
from sweeps.workers.jobs import Handle, Job

WAIT_S = 1.0
"""Longest wait for workers before an interruption is checked [s]."""


ATTEMPTS = 2
"""Attempts of a job whose process dies; those whose machine is lost do not count."""


@dataclass
class _Attempt:
    job: Job
    number: int
    machine: str = ""


_Running: TypeAlias = dict[ray.ObjectRefGenerator, _Attempt]


@ray.remote(num_returns="streaming", max_retries=0)
def carry_out(
    gpus: float, function: Callable[..., Training[Any]], *args: object
) -> Generator[Event | str, None, None]:
    """Run a job in a process, which has a share of GPUs; stream its machine, then its events."""
    yield ray.get_runtime_context().get_node_id()

    def work() -> Training[Any]:
        take_gpu(gpus)
        return (yield from function(*args))

    yield from events(work())


@dataclass(frozen=True)
class RayPool:
    """Workers with the resources of a trial's process each."""

    allocation: ResourceAllocation
    interrupted: Callable[[], bool]

    def put(self, value: object) -> Handle:
        """Store a value in the object store."""
        return ray.put(value)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        """Run ``jobs`` and yield their events as they arrive."""
        waiting = [(job, 1) for job in reversed(jobs)]
        running: _Running = {}
        while waiting or running:
            if waiting and len(running) < self.allocation.processes:
                job, number = waiting.pop()
                try:
                    running[self._begin(job)] = _Attempt(job, number)
                except UserError as error:
                    yield job, Event(done=True, reason=str(error))
                continue
            for attempt, event in _events_of(running):
                if event.kind is FailureKind.PROCESS_DIED:
                    attempt.number += not machine_lost(attempt.machine)
                    if attempt.number <= ATTEMPTS:
                        waiting.append((attempt.job, attempt.number))
                        continue
                yield attempt.job, event
            if self.interrupted():
                raise KeyboardInterrupt

    def _begin(self, job: Job) -> ray.ObjectRefGenerator:
        share = self.allocation.share
        options = carry_out.options(num_cpus=share.cpus, num_gpus=share.gpus)
        stream: ray.ObjectRefGenerator = options.remote(
            share.gpus, job.function, *job.args, *job.load()
        )
        return stream


def _events_of(running: _Running) -> Iterator[tuple[_Attempt, Event]]:
    """Yield the events of running jobs, and remove ended jobs."""
    ready, _ = ray.wait(list(running), num_returns=1, timeout=WAIT_S)
    for stream in ready:
        event = _next_event(stream)
        attempt = running[stream]
        if isinstance(event, str):
            attempt.machine = event
            continue
        if event.done:
            del running[stream]
        yield attempt, event


def _next_event(stream: ray.ObjectRefGenerator) -> Event | str:
    try:
        event: Event | str = ray.get(next(stream))
    except RayTaskError as error:  # its arguments or its result cannot be deserialised
        trace = redacted(printable(str(error), keep="\n"))  # Ray adds colours
        return Event(done=True, reason=redacted(one_line(error.cause)), traceback=trace)
    except (StopIteration, RayError) as error:
        # unread events of a lost machine are lost, too
        how = type(error).__name__
        reason = f"its process died, also when it was retried ({how})"
        return Event(done=True, reason=reason, kind=FailureKind.PROCESS_DIED)
    return event
