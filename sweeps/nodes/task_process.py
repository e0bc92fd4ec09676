"""Open a task in a process that works for a sweep, and keep one trial from the next in it."""

import random
import sys

import numpy as np

from kdtasks.contract.registry import load_task
from kdtasks.contract.task import KDTask
from kdtasks.learning.random import seed_for


def open_task(name: str) -> KDTask:
    """Return a task in a process that owns one core."""
    task = load_task(name)
    # The numeric libraries read OMP_NUM_THREADS; torch may have been imported before it was set.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return task


def start_afresh(seed: int) -> None:
    """Undo what earlier work in this process may have left in generators and torch's defaults.

    The project's own tasks use no global state; those of users may. What they draw follows from
    the seed of their trial then, in a process that is new as in one that has been used before.
    torch is left alone where the task has not imported it, for importing it takes seconds: one that
    imports it later finds it seeded in used processes only, which `KDTask` warns of.
    """
    random.seed(seed_for(seed, "random"))
    np.random.seed(seed_for(seed, "numpy.random") % 2**32)  # noqa: NPY002 - it is what users may use
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed_for(seed, "torch"))
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)
        torch.set_num_threads(1)
