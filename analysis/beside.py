"""A process that grows forests while the main process draws.

Importing scikit-learn takes a second, so only that process may do it: this module must not.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@contextmanager
def process_beside() -> Iterator[Executor]:
    """Yield an executor of one process, which imports scikit-learn in advance.

    The process is spawned, so the main module must be importable, as the CLI is.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with _safe_path():
            executor.submit(_prepare)
        yield executor


@contextmanager
def _safe_path() -> Iterator[None]:
    """Restrict imports of a process started inside to Python's modules and this package's.

    By default it would search the current folder first.
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


def rises(features: Floats, target: Floats) -> tuple[Floats, float]:
    """Return what ``analysis.forest.held_out_rises`` finds."""
    from analysis.forest import held_out_rises

    return held_out_rises(features, target)
