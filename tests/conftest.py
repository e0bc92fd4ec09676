import gc
import os
import sqlite3
import sys
import tempfile
import warnings
from contextlib import closing

import pytest
from hypothesis import settings

gc.disable()  # until all tests are collected

# the key of whoever runs the tests is not touched
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()

# Threads of BLAS wait for each other by spinning: with the cores shared by several workers, the
# radar of four passages took 41 s of CPU time instead of 2. Set before NumPy is imported.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# A busy machine, or a library that prepares itself in its first call, says nothing about a law.
# The gate tries the same examples each time, `make thorough` others: a rare draw that breaks a law
# is found by whoever looks for it, not by whoever changed something else.
settings.register_profile("quick", deadline=None, max_examples=15, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def nothing_named():
    """No test takes what another has named for the user's own code."""
    from kdtasks.contract.error_text import named

    before = set(named)
    yield
    named.intersection_update(before)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The current folder, from which commands import; what they did is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which they add it
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
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


def pytest_xdist_auto_num_workers() -> int:
    """Three processes on two cores: tests that wait for other processes leave a core idle."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is imported by now, and let it look less often.

    It took a sixth of all time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files with slow tests come first, and of these first what may take longest.

    So no process is still at a long file when the others have ended.
    """
    limits: dict[str, float] = {}
    for item in items:
        if item.get_closest_marker("slow"):
            marker, path = item.get_closest_marker("timeout"), str(item.path)
            limit = float(marker.args[0]) if marker else 0.0
            limits[path] = max(limit, limits.get(path, 0.0))
    items.sort(key=lambda item: -limits.get(str(item.path), -1.0))
