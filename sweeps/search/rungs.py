"""Multi-objective asynchronous successive halving: who is trained on at a rung, and who is not.

Schmucker, Donini, Zafar, Salinas, Archambeau, "Multi-objective Asynchronous Successive Halving",
arXiv 2106.12639: the trials at a rung are sorted by non-dominated ranks, and the members of one
rank by an epsilon-net (Clarkson, "Nearest-neighbor searching and metric space dimensions", 2006):
next comes whoever is farthest from all that were picked. This is the stopping variant: a trial
that is not among the best 1 / eta of its rung at the moment when it gets there is ended.

No randomness, no clock, no Ray; the same reports in the same order give the same decisions.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis import pareto
from search_spaces.objectives import Constraint, Objective
from search_spaces.stopping import Stopping
from sweeps.common.records import RungEntry

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Shares, and distances in units of a rank's extent, that differ by less count as equal: neither a
change of units nor 0.1 * 3 may decide."""


def spread_out(points_NM: Floats, count: int) -> list[int]:
    """Return which points to pick so that any first few of them cover all: an epsilon-net.

    Begins with the point that is best in the first objective.

    Args:
        points_NM: Points, smaller is better; scaled to their own extent here.
        count: How many to pick, at most N.

    Returns:
        Indices in the order of picking; of equals the first.
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
) -> set[int]:
    """Return the indices of the ``count`` best points.

    Feasible points come before infeasible ones. The former are ranked by their objectives, the
    latter by how much each constraint is missed. A rank of which only a part is wanted is thinned
    out by `spread_out`.

    Args:
        values_NM: Objectives in their own units; those on a logarithmic scale are not negative.
        violations_NC: By how much each constraint is missed, in its unit; at most 0 is kept.
        objectives: What the columns are.
        count: How many, at most N.
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
    signs_M = np.array([1.0 if way == "minimize" else -1.0 for way in directions])
    points_NM = signs_M * pareto.transformed(values_NM, objectives)
    best: list[int] = []
    for rank in np.unique(ranks_N):
        members = np.flatnonzero(ranks_N == rank)
        left = count - len(best)
        if len(members) > left:
            members = members[spread_out(points_NM[members], left)] if left else members[:0]
        best += members.tolist()
    return set(best)


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
        # by rung and trial: the objectives, and by how much each constraint is missed
        self._tables: dict[float, dict[int, tuple[float, ...]]] = {r: {} for r in stopping.rungs}
        self._shares: dict[int, float] = {}
        self.lacking: set[str] = set()
        """Objectives that some report at a rung did not have, or not as a usable number."""

    def report(
        self, trial: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> RungEntry | None:
        """Enter what a trial reports, if that brings it to a rung.

        A report counts for the last rung that it reaches, and a trial is in each rung once: one
        that was begun anew takes the place of its first attempt. A report that lacks an objective
        leaves the trial out of that rung.

        Returns:
            The entry; None if there is none.
        """
        share = epoch / epochs if epochs else 0.0
        before = self._shares.get(trial, 0.0)
        if share < before:  # its process died, and it began anew
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
        """Put an entry in its rung, in place of an earlier one; rungs of other studies are none."""
        if entry.rung in self._tables:
            values = [entry.metrics[goal.metric] for goal in self._objectives]
            missed = [self._missed(entry.metrics, bound) for bound in self._constraints]
            self._tables[entry.rung][trial] = (*values, *missed)

    def forget(self, trial: int) -> None:
        """Take a trial out of all rungs: it failed, so it says nothing about the others."""
        self._shares.pop(trial, None)
        for table in self._tables.values():
            table.pop(trial, None)

    def goes_on(self, trial: int, rung: float) -> bool:
        """Return whether a trial is among the best of its rung, as the rung is now."""
        return trial in self.best(rung)

    def best(self, rung: float) -> set[int]:
        """Return the trials at a rung that would go on: the best 1 of eta, rounded up."""
        # by number: the order in which trials arrived must not decide between equals
        trials = sorted(self._tables[rung])
        if len(trials) < self._stopping.min_trials:
            return set(trials)
        rows = np.array([self._tables[rung][trial] for trial in trials])
        values_NM, violations_NC = np.split(rows, [len(self._objectives)], axis=1)
        count = math.ceil(len(trials) / self._stopping.eta)
        best = best_of(values_NM, violations_NC, self._objectives, count)
        return {trials[index] for index in best}

    def _of(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return those numbers that trials are compared by."""
        wanted = [goal.metric for goal in self._objectives]
        wanted += [bound.metric for bound in self._constraints]
        return {name: metrics[name] for name in wanted if name in metrics}

    @staticmethod
    def _missed(metrics: Mapping[str, float], bound: Constraint) -> float:
        return bound.violation(metrics[bound.metric]) if bound.metric in metrics else 0.0


def _usable(goal: Objective, metrics: Mapping[str, float]) -> bool:
    value = metrics.get(goal.metric, math.nan)
    return math.isfinite(value) and (goal.scale == "linear" or value >= 0.0)
