"""What work in another process says, and how a generator of reports becomes a stream of events."""

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
"""Reports while it works and returns its result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What a worker says to the driver.

    Attributes:
        epoch: Epochs done, from 1; 0 if it does not train.
        epochs: Epochs planned.
        metrics: Numbers known so far.
        done: True for the last event.
        result: What the work came to; only in the last event.
        reason: Why it failed, in one line; only in the last event, empty if it did not fail.
        kind: What sort of failure that is.
        traceback: Where it failed.
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
    """Work in another process has failed; says why and where, as that process said it.

    Args:
        reason: Type and first line of the error, and its place in the user's code.
        traceback: Where it was raised.
        kind: What sort of failure it is.
    """

    def __init__(
        self, reason: str, traceback: str = "", kind: FailureKind = FailureKind.RAISED
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.traceback = traceback
        self.kind = kind


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that takes nothing more."""


def kind_of(error: BaseException) -> FailureKind:
    """Return what sort of failure an error in a worker is."""
    if isinstance(error, WorkFailedError):
        return error.kind
    if isinstance(error, ContractError):
        return FailureKind.CONTRACT
    full = isinstance(error, OSError) and error.errno in FULL
    return FailureKind.DISK if full else FailureKind.RAISED


def floats(metrics: Mapping[str, Any], what: str = "metrics") -> dict[str, float]:
    """Return numbers as Python's own, whatever library they are of.

    Raises:
        ContractError: If one is no number.
    """
    if problem := wrong_numbers(metrics, what):
        raise ContractError(problem)
    return {name: float(value) for name, value in metrics.items()}


def _event(report: Report) -> Event:
    """Return what a task reports in Python's own numbers, which every file and process can hold."""
    try:
        epoch, epochs = int(report.epoch), int(report.epochs)
    except (TypeError, ValueError, OverflowError) as error:
        said = f"epoch {report.epoch!r} of {report.epochs!r}"
        raise ContractError(f"the task reports {said}, which are not both numbers") from error
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
    """Return what a task has raised as another process and every file can hold it."""
    if isinstance(error, WorkFailedError):
        return error
    said = str(error) if isinstance(error, ContractError) else located(error)
    return WorkFailedError(redacted(said), redacted(trace_of(error)), kind_of(error))


@contextmanager
def at_work() -> Iterator[None]:
    """Let errors inside be `WorkFailedError`: they keep place and traceback between processes.

    Raises:
        WorkFailedError: If anything is raised.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise work_failed(error) from error
