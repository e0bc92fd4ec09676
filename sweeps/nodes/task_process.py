"""Open a task in a worker process, and isolate its trials from each other."""

import random
import sys

import numpy as np

from kdtasks.contract.registry import load_task
from kdtasks.contract.task import KDTask
from kdtasks.learning.random import seed_for


def open_task(name: str) -> KDTask:
    """Open a task in a process with one thread."""
    task = load_task(name)
    # Numeric libraries read OMP_NUM_THREADS; torch may have been imported before it was set.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return task


def start_afresh(seed: int) -> None:
    """Reset global random generators and torch's defaults, which earlier work may have changed.

    The project's own tasks use no global state; tasks of users may. Their draws then depend only on
    the seed of the trial or teacher, in new and in reused processes.
    torch is not imported for this, because that takes seconds: a task that
    imports it later finds it seeded in reused processes only, as `KDTask` documents.
    """
    random.seed(seed_for(seed, "random"))
    np.random.seed(seed_for(seed, "numpy.random") % 2**32)  # noqa: NPY002 - users may use it
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed_for(seed, "torch"))
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)
        torch.set_num_threads(1)
