"""MLflow's database as a file: in a sweep's folder, or of the user's own for several sweeps."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from analysis import layout
from sweeps.settings import SQLITE

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
    database = Path(tracking_uri.removeprefix(SQLITE).partition("?")[0])
    if not tracking_uri.startswith(SQLITE):
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
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            if sound and connection.execute(QUERY, (layout.ROLE, layout.ROLE_SWEEP)).fetchone():
                return True
    except sqlite3.DatabaseError:
        pass  # no database, a damaged one, or one without the table
    for suffix in ("", "-wal", "-shm"):
        path = database.with_name(database.name + suffix)
        if path.exists():
            path.replace(database.with_name(f"{database.name}.damaged{suffix}"))
    return False
