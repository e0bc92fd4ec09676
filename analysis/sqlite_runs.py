"""Runs read from MLflow's database in a file, without MLflow.

Importing MLflow and mapping its tables takes two to three seconds, most of the time of a command
like ``kdsweep front``; five of its tables hold everything needed. If they differ from what is
expected, MLflow's client reads instead.
"""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from analysis import layout
from analysis.artifact_addresses import check_addresses
from analysis.errors import ResultsError
from analysis.runs import PARENT, RecordedRun, read_texts
from analysis.sqlite_file import artifacts_beside, opened, readable, sqlite_path

_RUNS = """
    SELECT runs.run_uuid, runs.name, runs.experiment_id, runs.start_time, runs.end_time
    FROM runs JOIN tags USING (run_uuid) JOIN experiments USING (experiment_id)
    WHERE tags.key = ? AND tags.value = ?
    AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
    ORDER BY runs.start_time DESC, runs.run_uuid
"""
_TEXTS = """
    SELECT run_uuid, key, value FROM {table}
    WHERE run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)
"""
# SQLite has no NaN: MLflow writes 0 and sets is_nan.
_METRICS = """
    SELECT run_uuid, key, CASE is_nan WHEN 0 THEN value END FROM latest_metrics
    WHERE run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)
"""
_HISTORY = """
    SELECT step, timestamp, CASE is_nan WHEN 0 THEN value END FROM metrics
    WHERE run_uuid = ? AND key = ?
"""

_PLACE = """
    SELECT runs.artifact_uri, experiments.artifact_location, experiment_tags.value
    FROM runs JOIN experiments USING (experiment_id)
    LEFT JOIN experiment_tags ON experiment_tags.experiment_id = experiments.experiment_id
    AND experiment_tags.key = ?
    WHERE run_uuid = ?
"""


class UnknownStoreError(Exception):
    """Something other than MLflow's tables as they are known here, or artifacts elsewhere."""


class DatabaseRuns:
    """Reads runs of one database."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def tagged(self, name: str, value: str) -> list[RecordedRun]:
        tags = self._facts(_TEXTS.format(table="tags"), name, value)
        params = self._facts(_TEXTS.format(table="params"), name, value)
        metrics = self._facts(_METRICS, name, value)
        return [
            RecordedRun(
                id=key,
                name=str(title),
                experiment=str(experiment),
                started_ms=started,
                ended_ms=ended,
                tags=tags.get(key, {}),
                params=params.get(key, {}),
                metrics={n: _number(v) for n, v in metrics.get(key, {}).items()},
            )
            for key, title, experiment, started, ended in self._database.execute(
                _RUNS, (name, value)
            )
        ]

    def below(self, run: RecordedRun) -> list[RecordedRun]:
        return self.tagged(PARENT, run.id)

    def history(self, run: RecordedRun, metric: str) -> list[tuple[int, int, float]]:
        found = self._database.execute(_HISTORY, (run.id, metric))
        return [(step, timestamp, _number(value)) for step, timestamp, value in found]

    def texts(self, run: RecordedRun, files: tuple[str, ...]) -> dict[str, str]:
        """See `analysis.runs.Runs`.

        Raises:
            UnknownStoreError: If they are not in a folder of this machine.
        """
        name, beside = layout.BESIDE
        ((place, root, tag),) = self._database.execute(_PLACE, (name, run.id))
        if tag == beside:
            place = artifacts_beside(self._path) + place.removeprefix(root)
        folder = _folder(place)
        return read_texts(folder, files)

    def _facts(self, query: str, name: str, tag: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a table for runs with a tag: value by key, by run."""
        found: dict[str, dict[str, Any]] = {}
        for run, key, value in self._database.execute(query, (name, tag)):
            found.setdefault(run, {})[key] = value
        return found


@contextmanager
def database_runs(tracking_uri: str) -> Iterator[DatabaseRuns]:
    """Open a database file; everything is read as of one moment.

    Raises:
        ResultsError: If there is no such file, or it is no database of MLflow.
        UnknownStoreError: If it holds something else than expected.
    """
    path = sqlite_path(tracking_uri)
    if path is None:
        raise UnknownStoreError(tracking_uri)
    if not path.is_file():  # MLflow would make an empty one and then find nothing in it
        raise ResultsError(
            f"no MLflow database at {path}; check the sweep's name and --home, or run the sweep"
        )
    try:
        with readable(path) as file, closing(opened(file)) as database:
            _check(database, path)
            database.execute("BEGIN")
            check_addresses(database, path)
            yield DatabaseRuns(database, path)
    except sqlite3.Error as error:
        raise UnknownStoreError(f"{path}: {error}") from error


def _check(database: sqlite3.Connection, path: Path) -> None:
    try:
        database.execute("PRAGMA query_only = ON")
        found = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
    except sqlite3.DatabaseError as error:
        raise ResultsError(f"{path} cannot be read as an MLflow database: {error}") from None
    if found is None:
        raise ResultsError(f"{path} is not an MLflow database: it has no table 'runs'")


def _folder(artifact_uri: str) -> Path:
    where = urlparse(artifact_uri)
    if where.scheme not in ("", "file"):
        raise UnknownStoreError(f"artifacts are at {artifact_uri}")
    return Path(url2pathname(where.path) if where.scheme else artifact_uri)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
