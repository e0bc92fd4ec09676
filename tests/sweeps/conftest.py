import os
import signal
import sqlite3
import sys
import warnings
from contextlib import closing
from pathlib import Path

import pytest

# "toy_task:ToyTask" is named in studies, so workers must be able to import it, too.
sys.path.insert(0, str(Path(__file__).parent))

# What is started in the background by a shell ignores these, and so would every sweep of the tests.
for number, handler in {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
}.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def nothing_synced():
    """Leave files to the kernel, which outlives every driver that a test kills."""
    sync, os.fsync = os.fsync, lambda _number: None
    yield
    os.fsync = sync


@pytest.fixture(autouse=True, scope="session")
def tables_made_once():
    """Copy MLflow's tables from the first database: its migrations take a second for each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's models, with the SQLAlchemy that it allows
        from mlflow.store.db import utils
    migrated = utils._initialize_tables
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as first:

        def initialized(engine):
            with closing(sqlite3.connect(engine.url.database)) as database:
                if first.execute("SELECT * FROM sqlite_master").fetchone():
                    first.backup(database)
                else:
                    migrated(engine)
                    database.backup(first)

        utils._initialize_tables = initialized
        yield
        utils._initialize_tables = migrated
