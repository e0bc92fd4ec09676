"""Open a task in a process that works for a sweep."""

import sys

from kdtasks.registry import load_task
from kdtasks.task import KDTask


def open_task(name: str) -> KDTask:
    """Return a task in a process that owns one core."""
    task = load_task(name)
    # The numeric libraries read OMP_NUM_THREADS; torch may have been imported before it was set.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return task
