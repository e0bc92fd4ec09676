"""MLflow's database as a file: in a sweep's folder, or of the user's own for several sweeps."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from analysis import layout
from analysis.artifact_addresses import ADDRESSES, ROOTS, check_addresses
from analysis.errors import ResultsError
from analysis.sqlite_file import INDEX, LOG, artifacts_beside, opened, readable, sqlite_path
from kdtasks.data.reading import checked_inside

QUERY = "SELECT 1 FROM tags WHERE key = ? AND value = ?"


@contextmanager
def made_by_one(tracking_uri: str) -> Iterator[None]:
    """Let one process at a time open a database that may have to be made.

    MLflow makes its tables when it opens a database, and fails if two processes do. Ours keeps a
    log of its writes beside it (WAL), which halves the time of a write; that stays so in the file,
    and must be set before MLflow opens its pool of connections.

    Args:
        tracking_uri: Where MLflow has its runs; nothing is done unless that is a file of SQLite.

    Raises:
        OSError: If the file cannot be made.
    """
    database = sqlite_path(tracking_uri)
    if database is None:
        yield
        return
    folder = os.open(database.parent, os.O_RDONLY)  # a lock of the folder leaves no file behind
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
    """Return whether a database has a sweep's run; one that has not is moved out of the way.

    That run is the last thing to be made, so that without it MLflow was killed while it made its
    tables, and would not open them. All that such a database had is in the ledger.
    """
    try:
        with closing(opened(database)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            if sound and connection.execute(QUERY, (layout.ROLE, layout.ROLE_SWEEP)).fetchone():
                return True
    except sqlite3.DatabaseError:
        pass  # no database, a damaged one, or one without the table
    for suffix in ("", LOG, INDEX):
        path = database.with_name(database.name + suffix)
        if path.exists():
            path.replace(database.with_name(f"{database.name}.damaged{suffix}"))
    return False


def check_artifacts(tracking_uri: str) -> None:
    """Check that a database names no artifacts but those beside it, and that no link there leaves.

    Args:
        tracking_uri: Where MLflow has its runs; nothing is done unless that is a file of SQLite.

    Raises:
        ResultsError: If it names others, or cannot be read.
        DataError: If a link leads out.
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
    """Tell a database that was moved or copied where its artifacts are now: beside it, as before.

    Whoever writes to MLflow calls this first, or artifacts would be written where they were, which
    may be the folder of another sweep by now. Addresses of others' artifacts stay as they are.

    Args:
        tracking_uri: Where MLflow has its runs; nothing is done unless that is a file of SQLite.

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
                return  # not made to its end
            roots = [root for (root,) in connection.execute(ROOTS, layout.BESIDE) if root != here]
            for root in roots:
                for table, column in ADDRESSES:
                    if table in known:
                        _move(connection, table, column, root, here)
    except sqlite3.Error as error:
        raise OSError(f"{database}: {error}") from error


def _move(connection: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    """Let addresses at or below a folder begin with another one."""
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names are ours
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
