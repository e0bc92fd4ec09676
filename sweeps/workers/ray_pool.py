"""Runs jobs in worker processes of Ray."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError, RayTaskError

from kdtasks.contract.error_text import one_line, printable
from kdtasks.contract.errors import UserError
from sweeps.common.capacity import ResourceAllocation
from sweeps.common.events import Event, Training, events
from sweeps.common.records import FailureKind
from sweeps.common.secrets import redacted
from sweeps.nodes.task_process import take_gpu
from sweeps.workers.jobs import Handle, Job

WAIT_S = 1.0
"""Longest wait for workers before an interruption is checked [s]."""


ATTEMPTS = 2
"""Attempts of a job whose process or machine dies."""


_Running: TypeAlias = dict[ray.ObjectRefGenerator, tuple[Job, int]]


@ray.remote(num_returns="streaming", max_retries=0)
def carry_out(
    gpus: float, function: Callable[..., Training[Any]], *args: object
) -> Generator[Event, None, None]:
    """Run a job in a worker process, which has a share of GPUs, and stream its events."""

    def work() -> Training[Any]:
        take_gpu(gpus)
        return (yield from function(*args))

    yield from events(work())


class RayPool:
    """Workers with the resources of a trial's process each."""

    def __init__(self, allocation: ResourceAllocation, interrupted: Callable[[], bool]) -> None:
        self._allocation = allocation
        self._interrupted = interrupted

    def put(self, value: object) -> Handle:
        """Store a value in the object store."""
        return ray.put(value)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        """Run ``jobs`` and yield their events as they arrive."""
        waiting = [(job, 1) for job in reversed(jobs)]
        running: _Running = {}
        while waiting or running:
            if waiting and len(running) < self._allocation.processes:
                job, attempt = waiting.pop()
                try:
                    running[self._begin(job)] = job, attempt
                except UserError as error:
                    yield job, Event(done=True, reason=str(error))
                continue
            for job, attempt, event in _events_of(running):
                if event.done and event.kind is FailureKind.PROCESS_DIED and attempt < ATTEMPTS:
                    waiting.append((job, attempt + 1))
                else:
                    yield job, event
            if self._interrupted():
                raise KeyboardInterrupt

    def _begin(self, job: Job) -> ray.ObjectRefGenerator:
        share = self._allocation.share
        options = carry_out.options(num_cpus=share.cpus, num_gpus=share.gpus)
        stream: ray.ObjectRefGenerator = options.remote(
            share.gpus, job.function, *job.args, *job.load()
        )
        return stream


def _events_of(running: _Running) -> Iterator[tuple[Job, int, Event]]:
    """Yield the events of running jobs, and remove ended jobs."""
    ready, _ = ray.wait(list(running), num_returns=1, timeout=WAIT_S)
    for stream in ready:
        event = _next_event(stream)
        job, attempt = running[stream]
        if event.done:
            del running[stream]
        yield job, attempt, event


def _next_event(stream: ray.ObjectRefGenerator) -> Event:
    try:
        event: Event = ray.get(next(stream))
    except RayTaskError as error:  # its arguments or its result cannot be deserialised
        trace = redacted(printable(str(error), keep="\n"))  # Ray adds colours
        return Event(done=True, reason=redacted(one_line(error.cause)), traceback=trace)
    except (StopIteration, RayError) as error:
        # unread events of a lost machine are lost, too
        how = type(error).__name__
        reason = f"its process died, also when it was retried ({how})"
        return Event(done=True, reason=reason, kind=FailureKind.PROCESS_DIED)
    return event
