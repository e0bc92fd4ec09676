"""Multi-objective asynchronous successive halving: decides which trials continue at a rung.

Schmucker, Donini, Zafar, Salinas, Archambeau, "Multi-objective Asynchronous Successive Halving",
arXiv 2106.12639: the trials at a rung are sorted by non-dominated ranks, and the members of a rank
by an epsilon-net (Clarkson, "Nearest-neighbor searching and metric space dimensions", 2006), in
which the next point is the farthest from all picked ones. This is the stopping variant: a trial
that is not among the best 1 / eta of its rung when it arrives is stopped.

Deterministic: the same reports in the same order give the same decisions.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis import pareto
from analysis.pareto import Floats
from search_spaces.objectives import Constraint, Objective
from search_spaces.stopping import Stopping
from sweeps.common.records import RungEntry

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

ROUNDING = 1e-9
"""Shares, and distances relative to a rank's extent, that differ by less count as equal, so that
units and rounding do not matter."""


def spread_out(points_NM: Floats, count: int) -> list[int]:
    """Pick points that cover all others: an epsilon-net from the best in the first objective.

    Returns:
        Indices in the order of picking; ties go to the first.
    """
    low_M = points_NM.min(axis=0)
    extent_M = points_NM.max(axis=0) - low_M
    scaled_NM = (points_NM - low_M) / np.where(extent_M > 0.0, extent_M, 1.0)
    picked = [int(np.argmin(scaled_NM[:, 0]))]
    nearest_N = np.full(len(points_NM), np.inf)
    while len(picked) < count:
        distances_N = np.linalg.norm(scaled_NM - scaled_NM[picked[-1]], axis=1)
        nearest_N = np.minimum(nearest_N, np.round(distances_N / ROUNDING))
        nearest_N[picked] = -1.0
        picked.append(int(np.argmax(nearest_N)))
    return picked


def best_of(
    values_NM: Floats, violations_NC: Floats, objectives: Sequence[Objective], count: int
) -> Flags:
    """Return which points are the ``count`` best ones.

    Feasible points come first, ranked by their objectives; infeasible ones are ranked by their
    violations. `spread_out` selects from the last rank.

    Args:
        values_NM: Objectives in their own units; not negative on a logarithmic scale.
        violations_NC: Violation of each constraint in its unit; at most 0 is feasible.
        objectives: Of the columns.
        count: Number of points, from 1 to N.
    """
    directions = pareto.directions_of(objectives)
    missed_NC = np.maximum(violations_NC, 0.0)
    infeasible_N = (missed_NC > 0.0).any(axis=1)
    ranks_N = np.zeros(len(values_NM), dtype=np.int64)
    ranks_N[~infeasible_N] = pareto.sweep_ranks(values_NM[~infeasible_N], objectives)
    if infeasible_N.any():
        after = ranks_N.max(initial=0) + 1
        fewest: list[pareto.Direction] = ["minimize"] * missed_NC.shape[1]
        ranks_N[infeasible_N] = after + pareto.ranks(missed_NC[infeasible_N], fewest)
    up_to_R = np.cumsum(np.bincount(ranks_N))
    last = int(np.searchsorted(up_to_R, count))
    members = np.flatnonzero(ranks_N == last)
    excess = int(up_to_R[last]) - count
    if excess:
        signs_M = np.array([1.0 if way == "minimize" else -1.0 for way in directions])
        points_NM = signs_M * pareto.transformed(values_NM, objectives)
        members = members[spread_out(points_NM[members], len(members) - excess)]
    best_N = ranks_N < last
    best_N[members] = True
    return best_N


class Rungs:
    """The trials at every rung of a search."""

    def __init__(
        self,
        stopping: Stopping,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self._stopping = stopping
        self._objectives = objectives
        self._constraints = constraints
        # by rung: numbers of trials, ascending, and for each its objectives, then violations;
        # arrays, which are ranked at every report, and an entry costs little beside that
        empty = np.zeros(0, dtype=np.int64), np.zeros((0, len(objectives) + len(constraints)))
        self._tables: dict[float, tuple[Numbers, Floats]] = dict.fromkeys(stopping.rungs, empty)
        self._shares: dict[int, float] = {}
        self.lacking: set[str] = set()
        """Objectives that were missing or unusable in a report at a rung."""

    def report(
        self, trial: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> RungEntry | None:
        """Return the entry of a report that reaches a rung; None if it reaches none.

        A report counts for the last rung that it reaches. A trial is in each rung once: a restarted
        one replaces its first attempt. A report without an objective makes no entry.
        """
        share = epoch / epochs if epochs else 0.0
        before = self._shares.get(trial, 0.0)
        if share < before:  # restarted after its process died
            self.forget(trial)
            before = 0.0
        self._shares[trial] = share
        reached = [r for r in self._tables if before + ROUNDING < r <= share + ROUNDING]
        if not reached:
            return None
        lacking = {goal.metric for goal in self._objectives if not _usable(goal, metrics)}
        if lacking:
            self.lacking |= lacking
            return None
        entry = RungEntry(rung=reached[-1], epoch=epoch, epochs=epochs, metrics=self._of(metrics))
        self.restore(trial, entry)
        return entry

    def restore(self, trial: int, entry: RungEntry) -> None:
        """Put an entry into its rung, replacing an earlier one, if the study has that rung."""
        if entry.rung in self._tables:
            values = [entry.metrics[goal.metric] for goal in self._objectives]
            missed = [self._missed(entry.metrics, bound) for bound in self._constraints]
            self._remove(trial, entry.rung)
            trials, rows = self._tables[entry.rung]
            at = np.searchsorted(trials, trial)
            rows = np.insert(rows, at, [*values, *missed], axis=0)
            self._tables[entry.rung] = np.insert(trials, at, trial), rows

    def forget(self, trial: int) -> None:
        """Remove a failed trial from all rungs."""
        self._shares.pop(trial, None)
        for rung in self._tables:
            self._remove(trial, rung)

    def _remove(self, trial: int, rung: float) -> None:
        trials, rows = self._tables[rung]
        others = trials != trial
        if not others.all():
            self._tables[rung] = trials[others], rows[others]

    def continues(self, trial: int, rung: float) -> bool:
        """Return whether a trial is among the best of its rung at present."""
        return trial in self.best(rung)

    def best(self, rung: float) -> set[int]:
        """Return the trials at a rung that would continue: the best 1 / eta, rounded up."""
        # by number: ties must not depend on the order of arrival
        trials, rows = self._tables[rung]
        if len(trials) < self._stopping.min_trials:
            return set(trials.tolist())
        values_NM, violations_NC = np.split(rows, [len(self._objectives)], axis=1)
        count = math.ceil(len(trials) / self._stopping.eta)
        best = best_of(values_NM, violations_NC, self._objectives, count)
        return set(trials[best].tolist())

    def _of(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics by which trials are compared."""
        wanted = [goal.metric for goal in self._objectives]
        wanted += [bound.metric for bound in self._constraints]
        return {name: metrics[name] for name in wanted if name in metrics}

    @staticmethod
    def _missed(metrics: Mapping[str, float], bound: Constraint) -> float:
        return bound.violation(metrics[bound.metric]) if bound.metric in metrics else 0.0


def _usable(goal: Objective, metrics: Mapping[str, float]) -> bool:
    value = metrics.get(goal.metric, math.nan)
    return math.isfinite(value) and (goal.scale == "linear" or value >= 0.0)
