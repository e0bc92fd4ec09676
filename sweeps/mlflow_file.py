"""MLflow's database in a sweep's folder, as a file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from analysis import layout

QUERY = "SELECT 1 FROM tags WHERE key = ? AND value = ?"


def make(database: Path) -> None:
    """Make an empty database that keeps a log of its writes beside it (WAL).

    It halves the time of a write and stays so in the file; it must be set before MLflow opens its
    pool of connections.
    """
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


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
