"""Runs as MLflow has them, whoever reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from analysis.errors import ResultsError
from search_spaces.reading import read_text

PARENT = "mlflow.parentRunId"
"""Tag of a run that belongs to another one."""


_MOST_TEXT_BYTES = 64 * 2**20
"""Largest attached text; a thousand tracebacks have 16 MB."""


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
    """Queries to MLflow, without deleted runs."""

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


def read_texts(folder: Path, files: tuple[str, ...]) -> dict[str, str]:
    """Return those of some text files that are in a folder, by name.

    Raises:
        ResultsError: If one cannot be read, is too large, or is a link that leads out.
    """
    found = {}
    for path in (folder / name for name in files):
        if path.resolve().parent != folder.resolve():
            raise ResultsError(f"{path} is a link that leads out of its folder; copy it there")
        try:
            if path.is_file():
                found[path.name] = read_text(path, _MOST_TEXT_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise ResultsError(f"{path} cannot be read: {error}") from error
    return found
