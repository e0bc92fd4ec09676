"""What a random forest learns of one objective from the parameters, judged on held-out trials."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

Floats = NDArray[np.float64]

_FOLDS = 5
_REPEATS = 5
_TREES = 100
_LONG = 400
"""Trials of a long sweep. More per tree cost seconds and change little; nor do so many trees."""
_TREES_OF_LONG = 30


def held_out_rises(features: Floats, target: Floats) -> tuple[Floats, float]:
    """Return what permuting each feature [n, p] adds to the squared error of a target [n].

    Permutation importance (Breiman 2001, Random Forests, Section 10) of scikit-learn's random
    forest on held-out trials, 5-fold.

    Returns:
        Sums over the trials of how much the error rises, shape [p], and the share of the variance
        that the forests predict.
    """
    sums, predicted = np.zeros(features.shape[1]), np.zeros(len(target))
    trees = _TREES if len(target) < _LONG else _TREES_OF_LONG
    for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(features):
        most = min(len(train), _LONG)
        forest = RandomForestRegressor(trees, max_samples=most, random_state=0)
        forest.fit(features[train], target[train])
        predicted[test] = forest.predict(features[test])
        error = float(np.square(predicted[test] - target[test]).mean())
        sums += (permuted_errors(forest, features[test], target[test]) - error) * len(test)
    return sums, float(r2_score(target, predicted))


class Model(Protocol):
    """What predicts a target, shape [n], from features, shape [n, p]."""

    def predict(self, features: Floats) -> Floats: ...


def permuted_errors(model: Model, features: Floats, target: Floats) -> Floats:
    """Return the mean squared error of a model whose features are permuted one by one, shape [p].

    Means over ``_REPEATS`` permutations of each. All are predicted at once: a forest spends most of
    its time on being called.
    """
    rng = np.random.default_rng(0)
    count, width = features.shape
    copies = np.tile(features, (_REPEATS, width, 1, 1))
    for repeat in range(_REPEATS):
        for place in range(width):
            copies[repeat, place, :, place] = rng.permutation(features[:, place])
    found = model.predict(copies.reshape(-1, width)).reshape(_REPEATS, width, count)
    errors: Floats = np.square(found - target).mean(axis=(0, 2))
    return errors
