"""MLflow's database file: in a sweep's folder, or a user's own for several sweeps."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from analysis import layout
from analysis.errors import ResultsError
from kdtasks.data.reading import checked_inside
from sweeps.ledger.sqlite_file import INDEX, LOG, artifacts_beside, opened, readable, sqlite_path
from sweeps.tracking.artifact_addresses import ADDRESSES, ROOTS, check_addresses

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
