"""Importance of each searched parameter for each objective, or why it is unknown."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.beside import Floats, rises
from analysis.frames import SweepFrames
from analysis.fronts import method_of, searched_params
from analysis.pareto import transformed
from analysis.ranking import column, records
from search_spaces.objectives import Objective

FEWEST_TRIALS = 10


@dataclass(frozen=True, slots=True)
class Importance:
    """Parameter importance for one objective.

    Attributes:
        shares: Parameter to share of the explained importance, summing to 1, largest first;
            empty if unknown.
        explained: Share of the variance that the model predicts on held-out trials (R squared).
    """

    objective: Objective
    shares: Mapping[str, float]
    explained: float
    note: str


def by_weight(found: Sequence[Importance]) -> list[str]:
    """Return the parameters by the sum of their shares, the least first, as bars are drawn."""
    names = dict.fromkeys(name for one in found for name in one.shares)
    totals = {name: sum(one.shares.get(name, 0.0) for one in found) for name in names}
    return sorted(totals, key=lambda name: totals[name])


def importances(frames: SweepFrames) -> list[Importance]:
    """Return the importance of every searched parameter for every objective.

    Permutation importance of a random forest on held-out trials, see ``analysis.forest``. A
    parameter that a trial does not have (conditional) is set to its median over the trials that
    have it, so that its absence carries no information about the method; log-scaled objectives are
    modelled in decades.
    """
    return begin_importances(frames)()


def begin_importances(
    frames: SweepFrames, *, beside: Executor | None = None
) -> Callable[[], list[Importance]]:
    """Begin to find `importances`, and return what waits for them."""
    trials = frames.feasible
    names, features = _features(frames)
    begun: list[Callable[[], Importance]] = []
    for objective in frames.study.objectives:
        target = column(trials, objective.metric)
        note = _obstacle(names, target)
        if note:
            begun.append(partial(Importance, objective, {}, 0.0, note))
            continue
        target = transformed(target[:, None], [objective])[:, 0]
        found = partial(rises, features, target)
        wait = found if beside is None else beside.submit(found).result
        begun.append(partial(_importance, objective, names, wait))
    return lambda: [finish() for finish in begun]


def _importance(
    objective: Objective, names: Sequence[str], wait: Callable[[], tuple[Floats, float]]
) -> Importance:
    sums, explained = wait()
    gains = np.maximum(sums, 0.0)
    if explained <= 0.0 or gains.sum() == 0.0:
        note = "the parameters do not predict it: a model does no better than its mean"
        return Importance(objective, {}, explained, note)
    shares = dict(zip(names, (gains / gains.sum()).tolist(), strict=True))
    largest_first = sorted(shares.items(), key=lambda entry: -entry[1])
    return Importance(objective, dict(largest_first), explained, "")


def _obstacle(names: Sequence[str], target: NDArray[np.float64]) -> str:
    if len(target) < FEWEST_TRIALS:
        return f"too few trials: {len(target)} finished, {FEWEST_TRIALS} needed"
    if not names:
        return "the study varies no parameter"
    return "it is the same in every trial" if np.ptp(target) == 0.0 else ""


def _features(frames: SweepFrames) -> tuple[list[str], NDArray[np.float64]]:
    """Return the varied parameters as numbers, shape [n, p]."""
    rows = records(frames.feasible)
    values = [{"method": method_of(row), **searched_params(row, frames.study)} for row in rows]
    names = list(dict.fromkeys(name for entry in values for name in entry))
    columns = {name: _numbers([entry.get(name) for entry in values]) for name in names}
    kept = {name: numbers for name, numbers in columns.items() if np.ptp(numbers) > 0.0}
    stacked = np.stack(list(kept.values()), axis=1) if kept else np.empty((len(rows), 0))
    return list(kept), stacked


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    present = [value for value in values if value is not None]
    if all(isinstance(value, int | float) for value in present):
        middle = float(np.median(present))
        return np.array([middle if value is None else float(value) for value in values])
    # A forest splits on order alone; sorted names give categories a stable one.
    levels = sorted({str(value) for value in present})
    most = max(levels, key=[str(value) for value in present].count)
    return np.array([float(levels.index(most if v is None else str(v))) for v in values])
