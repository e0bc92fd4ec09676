"""Open a task in a worker process, and isolate its trials from each other."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from kdtasks.contract.arithmetic import ArithmeticSettings
from kdtasks.contract.params import Params
from kdtasks.contract.registry import load_task
from kdtasks.contract.task import KDTask
from kdtasks.learning.random import seed_for
from sweeps.common.events import Training

T = TypeVar("T")


def open_task(name: str) -> KDTask:
    """Open a task in a process with one thread."""
    task = load_task(name)
    # Numeric libraries read OMP_NUM_THREADS; torch may have been imported before it was set.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return task


def take_gpu(share: float) -> None:
    """Let tasks in this process compute on its share of a GPU, if it has one.

    Raises:
        UserError: If torch cannot use it.
    """
    if share or "kdtasks.learning.device" in sys.modules:
        from kdtasks.learning import device  # torch takes a second to import

        device.take_gpu(share)


@contextmanager
def computing(task: KDTask, params: Params) -> Iterator[None]:
    """Compute on this process's device, if the task can, with the precision in ``params``."""
    if not task.any_device:
        yield
        return
    from kdtasks.learning import device

    exact: dict[str, Any] = {n: params[n] for n in ArithmeticSettings.model_fields if n in params}
    with device.computing(**exact):
        yield


def computed(task: KDTask, params: Params, work: Training[T]) -> Training[T]:
    """Pass on a training's reports and return its result; it runs in `computing`."""
    while True:
        with computing(task, params):
            try:
                report = next(work)
            except StopIteration as end:
                result: T = end.value
                return result
        yield report


class GlobalDraws:
    """States of the global random generators: each user of them has its own, from the same seed.

    Nodes of one process take turns. What a task draws there for one of them must depend neither on
    the others nor on whether students are judged meanwhile.
    """

    def __init__(self, seed: int) -> None:
        start_afresh(seed)
        self._states: dict[str, Any] = {}
        self._first = _global_states()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Go on where this user has stopped."""
        _set_global_states(self._states.get(name, self._first))
        try:
            yield
        finally:
            self._states[name] = _global_states()


def _global_states() -> tuple[Any, Any, Any]:
    torch = sys.modules.get("torch")
    drawn = None if torch is None else torch.get_rng_state()
    return random.getstate(), np.random.get_state(), drawn  # noqa: NPY002 - users may use it


def _set_global_states(states: tuple[Any, Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002 - users may use it
    if states[2] is not None:
        sys.modules["torch"].set_rng_state(states[2])


@contextmanager
def drawing_nothing() -> Iterator[None]:
    """Put the global random generators back afterwards."""
    before = _global_states()
    try:
        yield
    finally:
        _set_global_states(before)


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
