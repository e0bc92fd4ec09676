"""Checks that the artifacts of MLflow's database lie in the folder beside it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from analysis import layout
from analysis.errors import ResultsError
from sweeps.ledger.sqlite_file import artifacts_beside

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
"""Where MLflow keeps absolute addresses of artifacts: tables and columns."""

ROOTS = """
    SELECT DISTINCT artifact_location FROM experiments JOIN experiment_tags USING (experiment_id)
    WHERE key = ? AND value = ?
"""

_TRACES = "key = 'mlflow.artifactLocation'"
_UNUSED = """
    NOT (experiment_id = 0 AND artifact_location LIKE '%/mlruns/0'
    AND experiment_id NOT IN (SELECT experiment_id FROM runs))
"""
"""MLflow's own experiment, which it makes in every database, is in the folder of that moment."""
_TAGGED = """
    experiment_id IN (SELECT experiment_id FROM experiment_tags WHERE key = ? AND value = ?)
"""
_VIA = ("models:/", "runs:/")
"""What names artifacts of a model or a run, which have addresses of their own."""


def check_addresses(connection: sqlite3.Connection, database: Path) -> None:
    """Check that all artifacts are in the folder beside their database.

    In a sweep's folder the whole database is the sweep's; of another one only the experiments are
    looked at that kdsweep has made. Where a database was moved, that folder is the one before.

    Raises:
        ResultsError: If one is elsewhere, naming database and location.
    """
    own = (database.parent / layout.STUDY_FILE).is_file()
    here = artifacts_beside(database)
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not {"experiments", "experiment_tags", "runs"} <= known:
        return
    moved = [str(root) for (root,) in connection.execute(ROOTS, layout.BESIDE)]
    roots = [here, *(root for root in moved if root.endswith("/artifacts"))]
    for table, address in _addresses(connection, known, own=own):
        if not _inside(str(address), roots):
            raise ResultsError(
                f"{database}: the address of artifacts ({table}), {address!r}, is not in "
                f"{database.parent / 'artifacts'}; nothing is read or written there: use an "
                "unchanged copy of the database"
            )


def _addresses(
    connection: sqlite3.Connection, known: set[str], *, own: bool
) -> Iterator[tuple[str, object]]:
    for table, column in ADDRESSES:
        if table not in known or not (own or table in ("experiments", "runs")):
            continue
        which = {"trace_tags": _TRACES, "experiments": _UNUSED}.get(table, "1")
        which, values = (which, ()) if own else (f"{which} AND {_TAGGED}", layout.BESIDE)
        for (address,) in connection.execute(
            f"SELECT DISTINCT {column} FROM {table} "  # noqa: S608 - names are ours
            f"WHERE {column} IS NOT NULL AND {which}",
            values,
        ):
            yield table.replace("_", " "), address


def _inside(address: str, roots: list[str]) -> bool:
    root = next((root for root in roots if address == root or address.startswith(f"{root}/")), None)
    if ".." in unquote(address.removeprefix(root or "")).replace("\\", "/").split("/"):
        return False
    return root is not None or address.startswith(_VIA)
