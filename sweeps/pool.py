"""Work for worker processes, seen from the driver; who carries it out is not said here."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.events import Event, Training
from sweeps.records import JobKind

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
        function: Importable generator function of ``sweeps.worker``.
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
