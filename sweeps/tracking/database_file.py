"""MLflow's database file, in a sweep's folder or a user's own, and where its artifacts may lie."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote

from analysis import layout
from analysis.errors import ResultsError
from kdtasks.data.reading import checked_inside
from sweeps.ledger.sqlite_file import INDEX, LOG, artifacts_beside, opened, readable, sqlite_path

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


QUERY = "SELECT 1 FROM tags WHERE key = ? AND value = ?"


@contextmanager
def made_by_one(tracking_uri: str) -> Iterator[None]:
    """Let only one process at a time open a database, if it is a file of SQLite.

    MLflow creates its tables when it opens a database, and fails if two processes do. New files use
    a write-ahead log (WAL), which halves the time of a write; it must be set before MLflow opens
    its connections.

    Raises:
        OSError: If the file cannot be created.
    """
    database = sqlite_path(tracking_uri)
    if database is None:
        yield
        return
    folder = os.open(database.parent, os.O_RDONLY)  # locking the folder leaves no lock file
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not database.exists():
            _make(database)
        yield
    finally:
        os.close(folder)


def _make(database: Path) -> None:
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise OSError(f"{database}: {error}") from error


def is_whole(database: Path) -> bool:
    """Return whether a database has a sweep's run; move it away if it has not.

    The run is created last: without it, MLflow was killed while creating its tables and cannot open
    them. Everything in such a database is in the ledger.
    """
    try:
        with closing(opened(database)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            if sound and connection.execute(QUERY, (layout.ROLE, layout.ROLE_SWEEP)).fetchone():
                return True
    except sqlite3.DatabaseError:
        pass  # not a database, damaged, or without the table
    for suffix in ("", LOG, INDEX):
        path = database.with_name(database.name + suffix)
        if path.exists():
            path.replace(database.with_name(f"{database.name}.damaged{suffix}"))
    return False


def check_artifacts(tracking_uri: str) -> None:
    """Check that a database of SQLite refers only to artifacts beside it, also by links.

    Raises:
        ResultsError: If it refers to others, or cannot be read.
        DataError: If a link points elsewhere.
    """
    database = sqlite_path(tracking_uri)
    if database is None or not database.is_file():
        return
    try:
        with readable(database) as file, closing(opened(file)) as connection:
            check_addresses(connection, database)
    except sqlite3.Error as error:
        raise ResultsError(f"{database} cannot be read: {error}") from error
    top = checked_inside(database.parent, database.parent / "artifacts")
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            checked_inside(database.parent, Path(folder) / name)


def follow(tracking_uri: str) -> None:
    """Update the addresses of artifacts in a database of SQLite that was moved or copied.

    Must be called before writing to MLflow: artifacts would else be written to the old place, which
    may belong to another sweep. Addresses of artifacts elsewhere are unchanged.

    Raises:
        OSError: If the file cannot be written to.
        UserError: As `check_artifacts`.
    """
    database = sqlite_path(tracking_uri)
    if database is None or not database.is_file():
        return
    check_artifacts(tracking_uri)
    here = artifacts_beside(database)
    try:
        with closing(opened(database)) as connection, connection:
            known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "experiment_tags" not in known:
                return  # incomplete
            roots = [root for (root,) in connection.execute(ROOTS, layout.BESIDE) if root != here]
            for root in roots:
                for table, column in ADDRESSES:
                    if table in known:
                        _move(connection, table, column, root, here)
    except sqlite3.Error as error:
        raise OSError(f"{database}: {error}") from error


def _move(connection: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    """Replace a folder at the beginning of addresses by another one."""
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names are ours
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
