import os
import signal
import sys
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
def tables_copied(tables_made_once):
    """MLflow's tables are made once for all sweeps."""
