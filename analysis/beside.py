"""A process that grows forests while another draws.

Importing scikit-learn takes a second, which a report has only in the other process: this module,
where that process starts and whose types it returns, must do without.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PermutationEffects(NamedTuple):
    """What permuting features does.

    Attributes:
        sums: Over the trials, of how much the squared error rises by each feature, shape [p].
        explained: Share of the variance that forests predict on held-out trials (R squared).
    """

    sums: Floats
    explained: float


@contextmanager
def process_beside() -> Iterator[Executor]:
    """Yield an executor of one process, which imports what forests need without being asked.

    It starts afresh, so the main module must be one that can be imported, as the CLI is.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with _safe_path():
            executor.submit(_prepare)
        yield executor


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let a process that is started inside find Python's modules and ours, and nobody else's.

    It would look for modules in the current folder first, and for ours where Python's path says.
    """
    ours, before = str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONSAFEPATH")
    sys.path.insert(0, ours)
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        sys.path.remove(ours)
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before


def _prepare() -> None:
    import analysis.forest  # noqa: F401 - for scikit-learn, which it brings along


def rises(features: Floats, target: Floats, seed: int) -> PermutationEffects:
    """Return what ``analysis.forest.held_out_rises`` finds."""
    from analysis.forest import held_out_rises

    return PermutationEffects(*held_out_rises(features, target, seed))
