"""Trainings as generators: their reports passed on, collected or left out, and their results."""

from collections.abc import Callable, Generator
from typing import TypeVar

from kdtasks.contract.task import Report

T = TypeVar("T")


def forwarded(
    training: Generator[Report, None, T], change: Callable[[Report], Report | None]
) -> Generator[Report, None, T]:
    """Yield reports as ``change`` returns them, None for none; return the training's result."""
    while True:
        try:
            report = next(training)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if (changed := change(report)) is not None:
            yield changed


def result_of(training: Generator[Report, None, T]) -> T:
    """Return the result of a training, without its reports."""
    while True:
        try:
            next(training)
        except StopIteration as stop:
            result: T = stop.value
            return result


def drained(training: Generator[Report, None, T]) -> tuple[list[Report], T]:
    """Return the reports of a training, and its result."""
    reports: list[Report] = []
    return reports, result_of(forwarded(training, reports.append))
