"""Events of work in another process, made from a generator of reports."""

import errno
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kdtasks.contract.error_text import located, trace_of
from kdtasks.contract.task import Report
from sweeps.common.records import FailureKind
from sweeps.common.returned_values import ContractError, wrong_numbers
from sweeps.common.secrets import redacted

T = TypeVar("T")
Training = Generator[Report, None, T]
"""A generator that yields reports and returns its result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A message from a worker to the driver.

    Attributes:
        epoch: Epochs done, from 1; 0 if it does not train.
        result: The result of the work; only in the last event.
        reason: Why it failed, in one line; only in the last event, empty if it did not fail.
        cpu_s: CPU time of its process while it worked [s]; only in the last event.
    """

    epoch: int = 0
    epochs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    done: bool = False
    result: Any = None
    reason: str = ""
    kind: FailureKind = FailureKind.RAISED
    traceback: str = ""
    cpu_s: float = 0.0


class WorkFailedError(Exception):
    """Work in another process has failed.

    Args:
        reason: Type and first line of the error, and its place in the user's code.
        traceback: Where it was raised.
        kind: Kind of failure.
    """

    def __init__(
        self, reason: str, traceback: str = "", kind: FailureKind = FailureKind.RAISED
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.traceback = traceback
        self.kind = kind


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Error numbers of a full or read-only disk."""


def floats(metrics: Mapping[str, Any], what: str = "metrics") -> dict[str, float]:
    """Convert metrics of any library to Python floats; ``what`` names their source in errors.

    Raises:
        ContractError: If one is no number.
    """
    if problem := wrong_numbers(metrics, what):
        raise ContractError(problem)
    return {name: float(value) for name, value in metrics.items()}


def _event(report: Report) -> Event:
    """Convert a task's report to plain Python numbers, which any file or process can hold."""
    try:
        epoch, epochs = int(report.epoch), int(report.epochs)
    except (TypeError, ValueError, OverflowError) as error:
        epoch_text = f"epoch {report.epoch!r} of {report.epochs!r}"
        raise ContractError(f"the task reports {epoch_text}, which are not both numbers") from error
    return Event(epoch=epoch, epochs=epochs, metrics=floats(report.metrics, "a report's metrics"))


def events(work: Training[Any]) -> Iterator[Event]:
    """Yield an event per report of ``work`` and one for its end, however it ends."""
    begun_s, event = time.process_time(), Event()
    while not event.done:
        event = _next(work, begun_s)
        yield event


def _next(work: Training[Any], begun_s: float) -> Event:
    try:
        return _event(next(work))
    except StopIteration as stop:
        return Event(done=True, result=stop.value, cpu_s=time.process_time() - begun_s)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the trial boundary: whatever a task raises is recorded
        failed = work_failed(error)
        return Event(done=True, reason=failed.reason, kind=failed.kind, traceback=failed.traceback)


def work_failed(error: BaseException) -> WorkFailedError:
    """Convert an error of a task to one that any process or file can hold."""
    if isinstance(error, WorkFailedError):
        return error
    reason, kind = located(error), FailureKind.RAISED
    if isinstance(error, ContractError):
        reason, kind = str(error), FailureKind.CONTRACT
    elif isinstance(error, OSError) and error.errno in FULL:
        kind = FailureKind.DISK
    return WorkFailedError(redacted(reason), redacted(trace_of(error)), kind)


@contextmanager
def at_work() -> Iterator[None]:
    """Turn errors inside into `WorkFailedError`, which keeps traceback and place between processes.

    Raises:
        WorkFailedError: If anything is raised.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise work_failed(error) from error
