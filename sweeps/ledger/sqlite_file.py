"""MLflow's database as a file: its address, where its artifacts are, how it is read."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

SQLITE = "sqlite:///"

WAIT_S = 30.0
"""For a writer that holds the database."""

LOG, INDEX = "-wal", "-shm"
"""What SQLite keeps beside a database that is in use: what was written, and an index of it."""


def sqlite_uri(path: Path) -> str:
    """Return the address of a database; the path may hold any character, ``%`` and ``?`` as well.

    SQLAlchemy takes the address apart; it reads the path as escaped since 2.1.
    """
    return SQLITE + quote(str(path.absolute()), safe=" +/=")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a database; None if the address is not that of a file."""
    path = unquote(uri.removeprefix(SQLITE).partition("?")[0])
    return Path(path) if uri.startswith(SQLITE) and path not in ("", ":memory:") else None


def artifacts_beside(database: Path) -> str:
    """Return the address of the folder that holds the artifacts of our runs in a database.

    It is beside the database, so that both can be moved.
    """
    return (database.absolute().parent / "artifacts").as_uri()


def opened(path: Path) -> sqlite3.Connection:
    """Connect to a file that must be there.

    Not with mode=ro, which leaves the files of a write-ahead log behind.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_S)


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield a database that can be read: the file, or a copy where nothing can be written.

    A database with a write-ahead log cannot be read in a folder that cannot be written to, unless
    somebody has it open.
    """
    names = [path.name + suffix for suffix in ("", LOG, INDEX)]
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    if writable or not path.exists() or (path.parent / names[2]).exists():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kdsweep-") as place:
        for name in names[:2]:
            if (path.parent / name).exists():
                shutil.copyfile(path.parent / name, Path(place) / name)
        yield Path(place) / path.name
