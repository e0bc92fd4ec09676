"""How much each searched parameter matters for each objective, and whether that can be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from analysis.frames import SweepFrames
from analysis.fronts import feasible_trials, method_of, searched_params
from analysis.ranking import column, records
from search_spaces.objectives import Objective

FEWEST_TRIALS = 10
_TREES = 100
_FOLDS = 5
_REPEATS = 5
_MOST_SAMPLES = 400
"""Trials that each tree sees of a long sweep: more cost seconds and change little."""


@dataclass(frozen=True, slots=True)
class Importance:
    """Parameter importance for one objective.

    Attributes:
        objective: The objective.
        shares: Parameter to share of the explained importance, summing to 1, largest first;
            empty if it cannot be told.
        explained: Share of the variance that the model predicts on held-out trials (R squared).
        note: Why there are no shares; empty if there are.
    """

    objective: Objective
    shares: Mapping[str, float]
    explained: float
    note: str


def importances(frames: SweepFrames, *, seed: int = 0) -> list[Importance]:
    """Return the importance of every searched parameter for every objective.

    Permutation importance (Breiman 2001, Random Forests, Section 10) of scikit-learn's random
    forest on held-out trials, 5-fold. A parameter that a trial does not have (conditional)
    is set to its median over the trials that have it, so that its absence carries no information
    about the method; log-scaled objectives are modelled in decades.

    Args:
        frames: The sweep; its feasible finished trials are used.
        seed: Seed of the forest, the folds and the permutations.
    """
    trials = feasible_trials(frames)
    names, features = _features(frames)
    return [
        _importance(objective, names, features, column(trials, objective.metric), seed)
        for objective in frames.study.objectives
    ]


def _importance(
    objective: Objective,
    names: Sequence[str],
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    seed: int,
) -> Importance:
    note = _obstacle(names, target)
    if note:
        return Importance(objective, {}, 0.0, note)
    target = np.log10(target) if objective.scale == "log" else target
    rises, predicted = np.zeros(len(names)), np.zeros(len(target))
    for train, test in KFold(_FOLDS, shuffle=True, random_state=seed).split(features):
        most = min(len(train), _MOST_SAMPLES)
        forest = RandomForestRegressor(_TREES, max_samples=most, random_state=seed)
        forest.fit(features[train], target[train])
        predicted[test] = forest.predict(features[test])
        error = float(np.square(predicted[test] - target[test]).mean())
        rises += (permuted_errors(forest, features[test], target[test], seed) - error) * len(test)
    explained = float(r2_score(target, predicted))
    rises = np.maximum(rises, 0.0)
    if explained <= 0.0 or rises.sum() == 0.0:
        note = "the parameters do not predict it: a model does no better than its mean"
        return Importance(objective, {}, explained, note)
    shares = dict(zip(names, (rises / rises.sum()).tolist(), strict=True))
    return Importance(objective, dict(sorted(shares.items(), key=_largest)), explained, "")


class Model(Protocol):
    """What predicts a target, shape [n], from features, shape [n, p]."""

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...


def permuted_errors(
    model: Model, features: NDArray[np.float64], target: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Return the mean squared error of a model whose features are permuted one by one, shape [p].

    Means over ``_REPEATS`` permutations of each. All are predicted at once: a forest spends most of
    its time on being called.

    Args:
        model: The model.
        features: Shape [n, p].
        target: Shape [n].
        seed: Of the permutations.
    """
    rng = np.random.default_rng(seed)
    count, width = features.shape
    copies = np.tile(features, (_REPEATS, width, 1, 1))
    for repeat in range(_REPEATS):
        for place in range(width):
            copies[repeat, place, :, place] = rng.permutation(features[:, place])
    found = model.predict(copies.reshape(-1, width)).reshape(_REPEATS, width, count)
    errors: NDArray[np.float64] = np.square(found - target).mean(axis=(0, 2))
    return errors


def _largest(entry: tuple[str, float]) -> float:
    return -entry[1]


def _obstacle(names: Sequence[str], target: NDArray[np.float64]) -> str:
    if len(target) < FEWEST_TRIALS:
        return f"too few trials: {len(target)} finished, {FEWEST_TRIALS} needed"
    if not names:
        return "the study varies no parameter"
    return "it is the same in every trial" if np.ptp(target) == 0.0 else ""


def _features(frames: SweepFrames) -> tuple[list[str], NDArray[np.float64]]:
    """Return the varied parameters as numbers, shape [n, p]."""
    rows = records(feasible_trials(frames))
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
