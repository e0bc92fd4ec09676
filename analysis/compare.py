"""Sweeps of one problem beside each other: who found the better front, where, and under what.

Every front is measured on validation, from the reference point of the first sweep. Whether a
difference is more than luck is asked by a permutation test: trials of both sweeps are dealt out
anew. (A bootstrap would draw the same trials again, and a hypervolume hangs on the few best, which
a resample can lose but never beat.) It says nothing of another seed of the search, for which a
sweep must be run again.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.attainment import attainment_difference, led_volumes
from analysis.errors import ResultsError
from analysis.frames import SweepFrames
from analysis.fronts import feasible_trials, front_trials
from analysis.pareto import directions_of, reference_point, sweep_hypervolume, transformed
from analysis.ranking import column, objective_values
from analysis.repeats import seed_sets
from search_spaces.objectives import Objective
from search_spaces.study_yaml import load_yaml

DEALS = 1000
"""Random deals of a permutation test."""
LEVELS = 5
"""Budgets at which two fronts are compared."""

TEXTS = ("name", "title", "description", "report")
"""Fields of a study that change nothing about its trials."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One sweep of a comparison.

    Attributes:
        name: Of the sweep.
        trials: Finished trials that its study allows.
        front: Members of its front.
        hypervolume: Of its front.
        core_hours: CPU time of its finished trials [h]; NaN if it was not noted.
    """

    name: str
    trials: int
    front: int
    hypervolume: float
    core_hours: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The hypervolume of one sweep less that of another.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        value: The difference.
        p_value: Share of random deals of all their trials whose difference is at least as large.
    """

    first: str
    second: str
    value: float
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """What each sweep attains in the first objective within a budget of the second.

    Attributes:
        budget: In the second objective.
        attained: Best value of the first objective by sweep; NaN where nothing fits.
    """

    budget: float
    attained: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attainment:
    """What two sweeps attain with their repeated trials, on the test split.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        seeds: How many seeds each has, one set of points per seed.
        first_leads: Volume over which the first attains more often, weighted by how much more often
            (share of its seeds less share of the other's), up to the reference point.
        second_leads: Volume over which the second does.
    """

    first: str
    second: str
    seeds: tuple[int, int]
    first_leads: float
    second_leads: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Sweeps beside each other.

    Attributes:
        objectives: Of the first sweep; its reference point is used for all.
        sides: The sweeps, in the order in which they were named.
        differences: Of every pair.
        attainments: Of every pair of which both were repeated; empty if there are not two
            objectives.
        levels: Empty if there are not two objectives.
        settings: Dotted place in the study and what each sweep has there, where they differ.
    """

    objectives: tuple[Objective, ...]
    sides: tuple[Side, ...]
    differences: tuple[Difference, ...]
    attainments: tuple[Attainment, ...]
    levels: tuple[Level, ...]
    settings: Mapping[str, tuple[str, ...]]


def compare(sweeps: Sequence[SweepFrames], *, seed: int = 0) -> Comparison:
    """Return what two or more sweeps of the same objectives come to.

    Raises:
        ResultsError: If they do not have the same objectives, or one has no finished trial.
    """
    _check(sweeps)
    objectives = tuple(sweeps[0].study.objectives)
    points = {frames.name: _points(frames, objectives) for frames in sweeps}
    volumes = {name: sweep_hypervolume(values, objectives) for name, values in points.items()}
    rng = np.random.default_rng(seed)
    return Comparison(
        objectives=objectives,
        sides=tuple(_side(frames, volumes[frames.name]) for frames in sweeps),
        differences=tuple(
            Difference(
                first=a,
                second=b,
                value=volumes[a] - volumes[b],
                p_value=p_value(points[a], points[b], objectives, rng),
            )
            for a, b in combinations(points, 2)
        ),
        attainments=tuple(_attainments(sweeps)) if len(objectives) == 2 else (),
        levels=_levels(points, objectives) if len(objectives) == 2 else (),
        settings=_settings(sweeps),
    )


def _check(sweeps: Sequence[SweepFrames]) -> None:
    first = [(goal.metric, goal.direction) for goal in sweeps[0].study.objectives]
    for frames in sweeps:
        if [(goal.metric, goal.direction) for goal in frames.study.objectives] != first:
            found = ", ".join(goal.metric for goal in frames.study.objectives)
            wanted = ", ".join(metric for metric, _ in first)
            raise ResultsError(
                f"sweep {frames.name} has other objectives ({found}) than {sweeps[0].name} "
                f"({wanted}); only sweeps of the same problem can be compared"
            )
        if not len(feasible_trials(frames)):
            raise ResultsError(f"sweep {frames.name} has no finished trial that its study allows")


def _points(frames: SweepFrames, objectives: Sequence[Objective]) -> Floats:
    return objective_values(feasible_trials(frames), frames.study)[:, : len(objectives)]


def _side(frames: SweepFrames, volume: float) -> Side:
    spent = column(frames.trials, "trial_cpu_s")
    known = spent[np.isfinite(spent)]
    return Side(
        name=frames.name,
        trials=len(feasible_trials(frames)),
        front=len(front_trials(frames)),
        hypervolume=volume,
        core_hours=float(known.sum()) / 3600.0 if len(known) else math.nan,
    )


def p_value(
    first: Floats, second: Floats, objectives: Sequence[Objective], rng: np.random.Generator
) -> float:
    """Return how often chance alone parts two sets of trials as far as they are apart.

    A two-sided permutation test on the difference of the hypervolumes, after Phipson and Smyth
    (2010): the observed deal counts as one of the random ones, so the value is never 0.

    Args:
        first: Trials of one sweep, shape [n, m].
        second: Trials of the other, shape [k, m].
        objectives: What the columns are.
        rng: Deals.
    """

    def apart(points: Floats) -> float:
        ends = sweep_hypervolume(points[: len(first)], objectives)
        return abs(ends - sweep_hypervolume(points[len(first) :], objectives))

    every = np.concatenate([first, second])
    # sums in another order differ in the last digits
    seen = apart(every) * (1.0 - 1e-9)
    as_far = sum(apart(rng.permutation(every)) >= seen for _ in range(DEALS))
    return (1 + as_far) / (1 + DEALS)


def _attainments(sweeps: Sequence[SweepFrames]) -> Iterator[Attainment]:
    objectives = sweeps[0].study.objectives
    directions, corner = directions_of(objectives), reference_point(objectives)
    for one, other in repeated_pairs(sweeps):
        first, second = (
            [transformed(points, objectives) for points in seed_sets(frames).values()]
            for frames in (one, other)
        )
        patches = attainment_difference(first, second, directions)
        leads = led_volumes(patches, directions, corner)
        yield Attainment(
            first=one.name,
            second=other.name,
            seeds=(len(first), len(second)),
            first_leads=leads[0],
            second_leads=leads[1],
        )


def repeated_pairs(sweeps: Sequence[SweepFrames]) -> list[tuple[SweepFrames, SweepFrames]]:
    """Return the pairs of sweeps of which both have repeated trials (`repeats.seed_sets`)."""
    return list(combinations([frames for frames in sweeps if seed_sets(frames)], 2))


def _levels(points: Mapping[str, Floats], objectives: Sequence[Objective]) -> tuple[Level, ...]:
    """Compare at quantiles of what all trials have in the second objective."""
    quality, cost = objectives
    sign = 1.0 if cost.direction == "minimize" else -1.0
    spent = np.concatenate([values[:, 1] for values in points.values()])
    steps = np.quantile(sign * spent, np.linspace(0.1, 1.0, LEVELS), method="inverted_cdf")
    return tuple(
        Level(
            budget=float(sign * step),
            attained={
                name: _attained(values[sign * values[:, 1] <= step, 0], quality)
                for name, values in points.items()
            },
        )
        for step in np.unique(steps)
    )


def _attained(values: Floats, objective: Objective) -> float:
    if not len(values):
        return math.nan
    return float(values.min() if objective.direction == "minimize" else values.max())


def _settings(sweeps: Sequence[SweepFrames]) -> dict[str, tuple[str, ...]]:
    """Return every entry of the study files that is not the same in all, but for its texts."""
    raw = [load_yaml(frames.study.text, frames.name) for frames in sweeps]
    files = [dict(_leaves("", {k: v for k, v in file.items() if k not in TEXTS})) for file in raw]
    places = dict.fromkeys(place for file in files for place in file)
    rows = {place: tuple(str(file.get(place, "")) for file in files) for place in places}
    return {place: row for place, row in rows.items() if len(set(row)) > 1}


def _leaves(place: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        parts = [(str(name), part) for name, part in value.items()]
    elif isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        parts = [(str(index), part) for index, part in enumerate(value)]
    else:
        return [(place, value)]
    return [
        leaf for name, part in parts for leaf in _leaves(f"{place}.{name}" if place else name, part)
    ]
