"""Runs as MLflow has them, whoever reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

PARENT = "mlflow.parentRunId"
"""Tag of a run that belongs to another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRun:
    """One run.

    Attributes:
        id: MLflow's name of it.
        name: Ours.
        experiment: The experiment that it is in.
        started_ms: When it was started, in milliseconds since 1970.
        ended_ms: When it ended, likewise; None while it runs.
        tags: Its tags.
        params: Its parameters, as text.
        metrics: The last value of each metric.
    """

    id: str
    name: str
    experiment: str
    started_ms: int | None
    ended_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class Runs(Protocol):
    """What is asked of MLflow. Runs that were deleted are not there."""

    def tagged(self, name: str, value: str) -> list[RecordedRun]:
        """Return all runs with this tag, the latest first."""
        ...

    def below(self, run: RecordedRun) -> list[RecordedRun]:
        """Return the runs that belong to a run, the latest first."""
        ...

    def history(self, run: RecordedRun, metric: str) -> list[tuple[int, int, float]]:
        """Return step, time [ms] and value of all that was logged of a metric."""
        ...

    def texts(self, run: RecordedRun, files: tuple[str, ...]) -> dict[str, str]:
        """Return those of some text files that are attached to a run, by name."""
        ...
