"""A sampler that learns only what is not known before training: accuracy, not complexity.

Complexity follows from a configuration without training (`KDTask.cost`). A Gaussian process models
the other objectives; a candidate is worth the hypervolume that it is expected to add, where its
known objectives enter exactly. The idea is that of expected hypervolume improvement (Emmerich et
al. 2006, "Single- and Multiobjective Evolutionary Optimization Assisted by Gaussian Random Field
Metamodels") with an integral over what is uncertain alone.

Shapes in this file: n = observations, c = candidates, f = features, m = objectives, d = draws.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState
from sklearn.exceptions import ConvergenceWarning

from analysis.pareto import Floats, added_hypervolume, costs_of, front_mask
from kdtasks.contract.params import Params, Value, fingerprint
from search_spaces.domains import Choice, Float, place_of, value_at
from search_spaces.objectives import Constraint, Objective
from search_spaces.space import Space
from search_spaces.to_optuna import distribution
from sweeps.ledger.optuna_trials import PARAMS, RUNGS, is_interrupted, unpacked
from sweeps.search.gaussian_process import ProcessWithPriors

STARTS = 4
"""Random configurations before a model is fitted."""
RANDOM_SHARE = 0.1
"""Share of suggestions that are random, lest a wrong model starves a part of the space."""
CANDIDATES, ELITE = 256, 10
"""Half of the candidates are mutations of the best configurations by what is learnt."""
LISTED = 512
"""Largest finite space of which all configurations are candidates, once a model is fitted."""
STEP = 0.1
"""Standard deviation of a mutated number, as a share of its range."""
DRAWS = 24
"""Draws of what is learnt, per candidate; quantiles if that is one objective."""
MOST, FITTED = 1000, 64
"""Largest numbers of observations, ends of trainings first: that predict, and that the process's
length scales are fitted to, which takes a hundred times as long as a prediction."""

Known = Callable[[Params], Mapping[str, float] | None]
"""Takes searched parameters, returns the metrics known before training; None if refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What is known of a trial, at its end or at a rung.

    Attributes:
        params: What was searched.
        share: Share of its training after which it was judged.
        values: Objectives in their own units, of which unknown ones are NaN.
        counts: Whether it may be on the front: trained to its end and feasible.
    """

    params: Params
    share: float
    values: Sequence[float]
    counts: bool


class KnownCostSampler(BaseSampler):
    """Proposes configurations by the hypervolume that they are expected to add.

    Args:
        space: The search space, with its conditions.
        objectives: Of the search, in the order of a trial's values.
        known: Gives the metrics that follow from a configuration; it is called often.
        constraints: Of these, those on known metrics are kept by every suggestion.
        seed: Seed of one suggestion.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        known: Known,
        constraints: Sequence[Constraint] = (),
        *,
        seed: int = 0,
    ) -> None:
        self._space = space
        self._objectives = objectives
        self._constraints = constraints
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)
        self._cost = known

    def infer_relative_search_space(self, *_: Any) -> dict[str, BaseDistribution]:
        return {name: distribution(domain) for name, domain in self._space.parameters.items()}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002 - that of the study is used
    ) -> dict[str, Value]:
        everything = map(unpacked, study.get_trials(deepcopy=False))
        # what was interrupted is repeated as a trial of its own, or never began
        trials = [t for t in everything if t.number != trial.number and not is_interrupted(t)]
        # sums must not depend on the order, for what was repeated comes later
        seen = sorted((o for t in trials for o in self._observations(t)), key=_order)
        candidates = self._candidates(seen, {fingerprint(_params(one)) for one in trials})
        starting = sum(o.share == 1.0 for o in seen) < STARTS
        if starting or not candidates or self._rng.random() < RANDOM_SHARE:
            return candidates[0] if candidates else self._space.sample(self._rng)
        pending = [_params(t) for t in trials if t.state is TrialState.RUNNING and t.params]
        return candidates[int(np.argmax(self._worth(seen, pending, candidates)))]

    def _observations(self, trial: FrozenTrial) -> list[Observation]:
        """Return the end of a trial, if it has one, and the rungs at which it was judged."""
        params, found = _params(trial), []
        for rung in trial.user_attrs.get(RUNGS, ()):
            values = [rung["metrics"].get(goal.metric, math.nan) for goal in self._objectives]
            share = rung["epoch"] / rung["epochs"]
            if share < 1.0:
                found.append(Observation(params=params, share=share, values=values, counts=False))
        if trial.state is TrialState.COMPLETE and trial.values is not None:
            feasible = all(value <= 0.0 for value in dict(trial.constraints or {}).values())
            values = list(trial.values)
            found.append(Observation(params=params, share=1.0, values=values, counts=feasible))
        return found

    def _candidates(self, seen: Sequence[Observation], tried: set[str]) -> list[dict[str, Value]]:
        """Return configurations that are new and keep what is known; the first one is random."""
        ended = [o for o in seen if o.counts]
        elite = sorted(ended, key=self._learnt_rank(ended))[:ELITE]
        found: dict[str, dict[str, Value]] = {}
        drawn: Iterable[dict[str, Value]] = self._drawn(elite, found)
        if len(ended) >= STARTS and (self._space.size() or math.inf) <= LISTED:
            drawn = self._rng.permutation(np.array([*self._space.enumerate()], dtype=object))
        for params in drawn:
            key = fingerprint(params)
            if key not in tried and key not in found and self._feasible(params):
                found[key] = params
        return list(found.values())

    def _drawn(self, elite: Sequence[Observation], found: Sized) -> Iterator[dict[str, Value]]:
        """Yield random configurations and mutations until enough are ``found``."""
        for _ in range(4 * CANDIDATES):
            mutates = elite and 2 * len(found) >= CANDIDATES
            parent = elite[int(self._rng.integers(len(elite)))].params if mutates else None
            yield self._space.sample(self._rng) if parent is None else self._mutated(parent)
            if len(found) == CANDIDATES:
                break

    def _learnt_rank(self, seen: Sequence[Observation]) -> Callable[[Observation], float]:
        first = next(iter(self._learnt(seen)), 0)
        sign = 1.0 if self._objectives[first].direction == "minimize" else -1.0
        return lambda observation: sign * observation.values[first]

    def _mutated(self, params: Params) -> dict[str, Value]:
        """Return a configuration with one parameter moved, and what depends on it drawn anew."""
        names = [name for name in params if name in self._space.parameters]
        moved = names[self._rng.integers(len(names))]
        found: dict[str, Value] = {}
        for name in self._space.names:
            if not self._space.active(name, found):
                continue
            keep = name in params and name != moved
            found[name] = params[name] if keep else self._moved(name, params.get(name))
        return found

    def _moved(self, name: str, old: Value | None) -> Value:
        domain = self._space.parameters[name]
        if not isinstance(domain, Float) or old is None:
            return domain.sample(self._rng)
        place = place_of(domain, old) + STEP * self._rng.normal()
        return value_at(domain, min(1.0, max(0.0, place)))

    def _feasible(self, params: Params) -> bool:
        cost = self._cost(params)
        return cost is not None and all(
            bound.violation(cost[bound.metric]) <= 0.0
            for bound in self._constraints
            if bound.metric in cost
        )

    def _learnt(self, seen: Sequence[Observation]) -> list[int]:
        """Return which objectives do not follow from a configuration."""
        cost = (self._cost(seen[0].params) if seen else None) or {}
        return [i for i, goal in enumerate(self._objectives) if goal.metric not in cost]

    def _worth(
        self,
        seen: Sequence[Observation],
        pending: Sequence[Params],
        candidates: Sequence[Params],
    ) -> Floats:
        """Return the hypervolume that each candidate is expected to add, shape [c]."""
        learnt = self._learnt(seen)
        values_nm = self._scaled([o.values for o in seen])
        waiting = [*pending, *candidates]
        exact = [self._cost(params) or {} for params in waiting]
        known_cm = self._scaled(
            [[cost.get(goal.metric, math.nan) for goal in self._objectives] for cost in exact]
        )
        draws = np.repeat(known_cm[:, None], DRAWS, axis=1)
        for objective in learnt:
            mean, spread = self._predicted(seen, values_nm[:, objective], waiting, len(pending))
            known_cm[:, objective] = mean
            draws[:, :, objective] = mean[:, None] + spread[:, None] * self._quantiles(len(learnt))
        corner = self._scaled([[goal.reference for goal in self._objectives]])[0]
        ended = np.array([o.counts for o in seen])
        # what is still in training counts as what the model expects of it
        front = np.concatenate([values_nm[ended], known_cm[: len(pending)]])
        front = front[(front < corner).all(axis=1)]
        if len(front):
            front = front[front_mask(front, ["minimize"] * len(corner))]
        return added_hypervolume(front, draws[len(pending) :], corner)

    def _quantiles(self, learnt: int) -> Floats:
        if learnt == 1:
            return np.array([NormalDist().inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)])
        return self._rng.normal(size=DRAWS)

    def _scaled(self, values: Sequence[Sequence[float]]) -> Floats:
        """Return objectives such that less is better, in decades where the scale is log."""
        array = np.asarray(values, dtype=np.float64).reshape(-1, len(self._objectives))
        gaps = np.isnan(array)
        filled = np.where(gaps, [goal.reference for goal in self._objectives], array)
        return np.where(gaps, np.nan, costs_of(filled, self._objectives))

    def _predicted(
        self, seen: Sequence[Observation], values_n: Floats, waiting: Sequence[Params], running: int
    ) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of one objective at the end of training.

        The first ``running`` wait for their results, and count as if these were their means.
        """
        finite = [i for i, value in enumerate(values_n) if math.isfinite(value)]
        usable = sorted(finite, key=lambda i: -seen[i].share)[:MOST]
        values = values_n[usable]
        features = np.array([[*self._features(seen[i].params), seen[i].share] for i in usable])
        wanted = np.array([[*self._features(params), 1.0] for params in waiting])
        # the share of the training is a parameter, too
        model = ProcessWithPriors(features.shape[1], len(self._space.parameters) + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[:FITTED], values[:FITTED])
        model.set_params(kernel=model.kernel_, optimizer=None)
        model.fit(features, values)
        if running:
            values = np.append(values, model.predict(wanted[:running]))
            features = np.vstack([features, wanted[:running]])
            model.fit(features, values)
        mean, spread = model.predict(wanted, return_std=True)
        return np.asarray(mean), np.asarray(spread)

    def _features(self, params: Params) -> list[float]:
        """Return choices as indicators and numbers as places in their range; absent ones are 0."""
        found: list[float] = []
        for name, domain in self._space.parameters.items():
            value = params.get(name)
            if isinstance(domain, Choice):
                found += [
                    float(value is not None and value == option) for option in domain.values()
                ]
            else:
                found.append(0.0 if value is None else place_of(domain, value))
        return found


def _order(observation: Observation) -> tuple[str, float]:
    return fingerprint(observation.params), observation.share


def _params(trial: FrozenTrial) -> Params:
    found: Params = trial.user_attrs.get(PARAMS, trial.params)
    return found
