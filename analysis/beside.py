"""A process that grows forests while another draws.

Importing scikit-learn takes a second, which a report has only in the other process: this module,
where that process starts and whose types it returns, must do without.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Rises(NamedTuple):
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
        executor.submit(_prepare)
        yield executor


def _prepare() -> None:
    import analysis.forest  # noqa: F401 - for scikit-learn, which it brings along


def rises(features: Floats, target: Floats, seed: int) -> Rises:
    """Return what ``analysis.forest.held_out_rises`` finds."""
    from analysis.forest import held_out_rises

    return Rises(*held_out_rises(features, target, seed))
