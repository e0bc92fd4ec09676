"""One model out of a sweep: the best that budgets allow, and what a larger budget would buy."""

import difflib
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import layout
from analysis.errors import ResultsError
from analysis.frames import FACTS, PARAM, SweepFrames
from analysis.fronts import confirmed, kind_of, searched_params, test_metric, topology_of
from analysis.pareto import costs_of, tolerances
from analysis.ranking import column, records, where
from analysis.stats import Interval
from search_spaces.objectives import Objective

Side = Literal["max", "min"]

RUNNERS_UP = 3
"""How many other trials within the budgets are named."""

NAMED = 6
"""How many metrics a message names that were misspelt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A limit on a metric of the sweep's tables, in its unit: the most or least that is allowed."""

    metric: str
    limit: float
    side: Side

    def beyond(self, value: float) -> float:
        """Return by how much a value breaks the limit, relative to it; 0 within it, inf if NaN."""
        if math.isnan(value):
            return math.inf
        excess = value - self.limit if self.side == "max" else self.limit - value
        return max(0.0, excess) / (abs(self.limit) or 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A trial that may be taken.

    Attributes:
        values: Objectives and budgeted metrics, by name.
        test: For every validation objective its mean on the test split, by the test metric.
    """

    trial: int
    kind: str
    searched: Mapping[str, Any]
    values: Mapping[str, float]
    test: Mapping[str, Interval]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The smallest change of one budget that allows a better trial.

    Attributes:
        budget: The changed budget; its limit is what the better trial needs.
        extra: By how much the limit moves, in its unit, at least 0.
        gain: By how much the objective gets better, in its unit, above 0.
    """

    budget: Budget
    candidate: Candidate
    extra: float
    gain: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """Result of `find_best`.

    Attributes:
        offers: For every budget, the gain from raising it alone; None where there is none.
        allowed: Number of trials within all budgets.
        unknown: For every budget, the number of trials that lack its metric and so exceed it.
    """

    objective: Objective
    budgets: tuple[Budget, ...]
    chosen: Candidate
    runners_up: tuple[Candidate, ...]
    offers: tuple[Offer | None, ...]
    allowed: int
    considered: int
    unknown: tuple[int, ...]


def parse_budget(text: str, side: Side) -> Budget:
    """Parse ``metric=number``.

    Raises:
        ResultsError: If the text has another form.
    """
    name, sign, number = text.partition("=")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not sign or not name.strip() or math.isnan(limit):
        raise ResultsError(f"--{side} {text}: give metric=number, such as --{side} params=1e5")
    return Budget(metric=name.strip(), limit=limit, side=side)


def find_best(
    frames: SweepFrames,
    budgets: Sequence[Budget] = (),
    *,
    topology: str | None = None,
    by: str | None = None,
) -> Best:
    """Return the trial that is best in one objective within all budgets.

    It is chosen by the value that the search saw, never by the test split. Among equals, and those
    within the objective's tolerance of the best, the better rank wins, then the smaller number.

    Args:
        frames: The sweep.
        budgets: Limits; one metric may have several.
        topology: Only trials of this one; None for all.
        by: Metric of the objective; None for the study's first.

    Raises:
        ResultsError: If a name is unknown, or no trial fits; then the message names the budgets to
            raise and by how much.
    """
    objective = _objective(frames, by)
    trials = _of_topology(frames, frames.feasible, topology)
    for budget in budgets:
        _check_metric(frames.name, trials, budget)
    if not len(trials):
        raise ResultsError(f"sweep {frames.name} has no finished trial that its study allows")
    pool = _Pool(frames, trials, objective, tuple(budgets))
    if not pool.within().any():
        raise _nothing_fits(pool)
    return pool.best()


def _objective(frames: SweepFrames, by: str | None) -> Objective:
    known = {objective.metric: objective for objective in frames.study.objectives}
    if by is None:
        return frames.study.objectives[0]
    if by not in known:
        raise ResultsError(f"--by {by}: objectives of {frames.name} are {', '.join(known)}")
    return known[by]


def _of_topology(frames: SweepFrames, trials: pd.DataFrame, wanted: str | None) -> pd.DataFrame:
    if wanted is None:
        return trials
    found = [topology_of(row) for row in records(trials)]
    if wanted not in found:
        there = ", ".join(sorted(set(found))) or "none"
        raise ResultsError(f"--topology {wanted}: trials of {frames.name} have {there}")
    return where(trials, (name == wanted for name in found))


def _check_metric(sweep: str, trials: pd.DataFrame, budget: Budget) -> None:
    names = [str(name) for name in trials.columns]
    known = [name for name in names if name not in FACTS and not name.startswith(PARAM)]
    if budget.metric in known:
        return
    if budget.metric in (layout.ONNX_LATENCY, layout.ONNX_BYTES):
        raise ResultsError(
            f"--{budget.side} {budget.metric}: no trial was exported yet; kdsweep register "
            f"{shlex.quote(sweep)} measures the front's students, kdsweep export "
            f"{shlex.quote(sweep)} --trial N any other"
        )
    if not len(trials):
        raise ResultsError(f"--{budget.side} {budget.metric}: no trial has finished yet")
    near = difflib.get_close_matches(budget.metric, known, n=NAMED, cutoff=0.4)
    hint = f"; near it: {', '.join(near)}" if near else f"; there are {', '.join(known[:NAMED])}"
    raise ResultsError(f"--{budget.side} {budget.metric}: no trial has such a metric{hint}")


class _Pool:
    """The trials of a sweep that could be taken, with their budgets as arrays."""

    def __init__(
        self,
        frames: SweepFrames,
        trials: pd.DataFrame,
        objective: Objective,
        budgets: tuple[Budget, ...],
    ) -> None:
        self.frames = frames
        self.budgets = budgets
        self.objective = objective
        self.rows = records(trials)
        self.values = [column(trials, budget.metric) for budget in budgets]
        score = column(trials, objective.metric)
        self.score = score if objective.direction == "minimize" else -score
        self.cost = costs_of(score[:, None], [objective])[:, 0]
        self.tolerance = float(tolerances([objective])[0])
        beyond = [
            [budget.beyond(value) for value in values.tolist()]
            for budget, values in zip(budgets, self.values, strict=True)
        ]
        self.beyond = np.array(beyond).reshape(len(budgets), len(self.rows))
        last = len(self.rows)
        self.rank = np.array([last if row["rank"] is None else row["rank"] for row in self.rows])
        number = np.array([row["number"] for row in self.rows])
        self.order: list[int] = np.lexsort((number, self.rank, self.score)).tolist()

    def within(self, but: int | None = None) -> NDArray[np.bool_]:
        """Return which trials keep all budgets, or all but one, shape [n]."""
        beyond = self.beyond if but is None else np.delete(self.beyond, but, axis=0)
        return np.asarray((beyond == 0.0).all(axis=0))

    def best(self) -> Best:
        """Return what to take; something must be within all budgets."""
        mask = self.within()
        fitting = self._equals_first([index for index in self.order if mask[index]])
        first, others = fitting[0], fitting[1 : 1 + RUNNERS_UP]
        return Best(
            objective=self.objective,
            budgets=self.budgets,
            chosen=self.candidate(first),
            runners_up=tuple(self.candidate(index) for index in others),
            offers=tuple(self._offer(index, first) for index in range(len(self.budgets))),
            allowed=len(fitting),
            considered=len(self.rows),
            unknown=tuple(int(np.isnan(values).sum()) for values in self.values),
        )

    def _equals_first(self, fitting: list[int]) -> list[int]:
        """Return trials, the best first; those within tolerance of the best by their rank."""
        most = self.cost[fitting[0]] + self.tolerance
        return sorted(fitting, key=lambda i: (0, self.rank[i]) if self.cost[i] <= most else (1, 0))

    def candidate(self, index: int) -> Candidate:
        """Return a trial with its kind, parameters, objectives, budgets and test results."""
        row, study = self.rows[index], self.frames.study
        number = int(row["number"])
        names = [objective.metric for objective in study.objectives]
        names += [budget.metric for budget in self.budgets]
        tests = (test_metric(objective) for objective in study.objectives)
        found = {name: confirmed(self.frames, number, name) for name in tests if name is not None}
        return Candidate(
            trial=number,
            kind=kind_of(row),
            searched=searched_params(row, study),
            values={name: float(row[name]) for name in dict.fromkeys(names)},
            test={name: interval for name, interval in found.items() if interval is not None},
        )

    def _offer(self, index: int, chosen: int) -> Offer | None:
        """Return the smallest raise of one budget that allows a better trial."""
        budget, better = self.budgets[index], self.within(but=index)
        better &= self.cost < self.cost[chosen] - self.tolerance
        found = self.nearest(index, better)
        if found is None:
            return None
        needed = float(self.values[index][found])
        return Offer(
            budget=replace(budget, limit=needed),
            candidate=self.candidate(found),
            extra=abs(needed - budget.limit),
            gain=float(self.score[chosen] - self.score[found]),
        )

    def nearest(self, index: int, among: NDArray[np.bool_]) -> int | None:
        """Return the trial that needs the least of one budget; of equals the best."""
        beyond = self.beyond[index]
        able = (i for i in self.order if among[i] and math.isfinite(beyond[i]))
        return min(able, key=lambda i: beyond[i], default=None)


def limit_text(budget: Budget) -> str:
    """Return a budget as an option, rounded to six digits away from what it must allow."""
    text = f"{budget.limit:.6g}"
    if float(text) != budget.limit and math.isfinite(budget.limit):
        step = 10.0 ** (math.floor(math.log10(abs(budget.limit))) - 5)
        away = math.ceil if budget.side == "max" else math.floor
        text = f"{away(budget.limit / step) * step:.6g}"
        # six digits are too few where a step more would leave the range of numbers
        if replace(budget, limit=float(text)).beyond(budget.limit):
            text = repr(budget.limit)
    return f"--{budget.side} {budget.metric}={text}"


def _nothing_fits(pool: _Pool) -> ResultsError:
    """Return an error that names each budget to raise alone, or else all together."""
    ways = [
        _way(pool, found, [index])
        for index in range(len(pool.budgets))
        if (found := pool.nearest(index, pool.within(but=index))) is not None
    ]
    limits = " ".join(f"--{b.side} {b.metric}={b.limit:g}" for b in pool.budgets)
    return ResultsError(
        f"none of {len(pool.rows)} trials of {pool.frames.name} fits {limits}; "
        f"{'; '.join(ways or [_joint_way(pool)])}"
    )


def _joint_way(pool: _Pool) -> str:
    """Return the change that admits the trial with the smallest worst excess."""
    worst = pool.beyond.max(axis=0)
    found = min(pool.order, key=lambda index: worst[index])
    if math.isinf(worst[found]):
        return "no trial has all of these metrics"
    return _way(pool, found, np.flatnonzero(pool.beyond[:, found]).tolist())


def _way(pool: _Pool, found: int, changed: Sequence[int]) -> str:
    steps = [
        limit_text(replace(pool.budgets[index], limit=float(pool.values[index][found])))
        for index in changed
    ]
    return f"{' and '.join(steps)} would allow trial {pool.rows[found]['number']}"
