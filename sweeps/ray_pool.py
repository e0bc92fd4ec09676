"""The local Ray, and jobs beside the search in its worker processes."""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import ray

from sweeps.environment import engine_environment
from sweeps.events import Event, Training, events
from sweeps.pool import Handle, Job

WAIT_S = 1.0
"""How long the driver waits for workers before it looks around."""


@contextmanager
def local_ray(
    cores: int, starting: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Run a Ray of our own inside, on loopback.

    Args:
        cores: What Ray is to have.
        starting: Entered while its processes are started.

    An address is always given: without one Ray would join any cluster that it finds. Its token
    authentication stays as it is by default: on.
    """
    # Tune misses the files of loggers that we switched off, and prints what we record anyway.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with engine_environment():
        try:
            with starting():
                ray.init(
                    address="local",
                    num_cpus=cores,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            yield
        finally:
            ray.shutdown()


@ray.remote(num_cpus=1, num_returns="streaming", max_retries=0)
def carry_out(
    function: Callable[..., Training[Any]], *args: object
) -> Generator[Event, None, None]:
    """Carry out a job in a worker process and stream its events."""
    yield from events(function(*args))


class RayPool:
    """Workers of the local Ray, each with one core.

    Args:
        cores: Jobs that run at once.
        interrupted: Whether the user wants to stop.
    """

    def __init__(self, cores: int, interrupted: Callable[[], bool]) -> None:
        self._cores = cores
        self._interrupted = interrupted

    def put(self, value: object) -> Handle:
        """Place a value in the object store."""
        return ray.put(value)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        """Carry out ``jobs`` and yield their events as they come."""
        waiting = list(reversed(jobs))
        streams: dict[ray.ObjectRefGenerator, Job] = {}
        while waiting or streams:
            while waiting and len(streams) < self._cores:
                job = waiting.pop()
                streams[carry_out.remote(job.function, *job.args)] = job
            ready, _ = ray.wait(list(streams), num_returns=1, timeout=WAIT_S)
            for stream in ready:
                event = _next_event(stream)
                yield streams[stream], event
                if event.done:
                    del streams[stream]
            if self._interrupted():
                raise KeyboardInterrupt


def _next_event(stream: ray.ObjectRefGenerator) -> Event:
    try:
        event: Event = ray.get(next(stream))
    except (StopIteration, ray.exceptions.RayError) as error:
        return Event(done=True, reason=f"its process died ({type(error).__name__})")
    return event
