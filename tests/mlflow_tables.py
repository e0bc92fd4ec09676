"""MLflow's tables, made once for all databases of a process."""

import sqlite3
import warnings
from contextlib import closing

import pytest


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
