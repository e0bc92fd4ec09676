"""Compares sweeps of one problem: hypervolume and position of their fronts, and their conditions.

Every front is measured on validation, from the reference point of the first sweep. Whether a
difference is significant is decided for sweeps that were repeated with other search seeds, by a
permutation test that redistributes them. Trials cannot be redistributed, because a sampler learns
from earlier ones.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from analysis.attainment import attainment_difference, led_volumes
from analysis.errors import ResultsError
from analysis.frames import SweepFrames
from analysis.fronts import front_trials
from analysis.pareto import Floats, directions_of, reference_point, sweep_hypervolume, transformed
from analysis.ranking import column, objective_values
from analysis.repeats import seed_sets
from search_spaces.objectives import Objective
from search_spaces.study_yaml import leaves, load_yaml

LEVELS = 5
"""Budgets at which two fronts are compared."""

SEARCH_SEED = "seeds.search"
"""Place of what may differ between repeated sweeps."""

TEXTS = ("name", "title", "description", "report")
"""Fields of a study that change nothing about its trials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One sweep of a comparison.

    Attributes:
        trials: Finished trials that its study allows.
        core_hours: CPU time of its finished trials [h]; NaN if it was not noted.
    """

    name: str
    trials: int
    front: int
    hypervolume: float
    core_hours: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The mean hypervolume of one sweep and its repetitions less that of another.

    Attributes:
        first: Names of the sweeps of one study that differ in ``seeds.search`` alone.
        p_value: See `p_value`; None if one of the two was not repeated.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    value: float
    p_value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """What each sweep attains in the first objective within a budget of the second.

    NaN stands where nothing fits.
    """

    budget: float
    attained: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attainment:
    """What two sweeps attain with their repeated trials, on the test split.

    Attributes:
        seeds: How many seeds each has, one set of points per seed.
        first_leads: Volume over which the first attains more often, weighted by how much more often
            (share of its seeds less share of the other's), up to the reference point.
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
        differences: Of every pair of sweeps that are not repetitions of each other, or of all if
            there are no others.
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


def compare(sweeps: Sequence[SweepFrames]) -> Comparison:
    """Return what two or more sweeps of the same objectives come to.

    Raises:
        ResultsError: If they do not have the same objectives, or one has no finished trial.
    """
    _check(sweeps)
    objectives = tuple(sweeps[0].study.objectives)
    points = {one.name: objective_values(one.feasible, one.study) for one in sweeps}
    volumes = {name: sweep_hypervolume(values, objectives) for name, values in points.items()}
    return Comparison(
        objectives=objectives,
        sides=tuple(_side(frames, volumes[frames.name]) for frames in sweeps),
        differences=tuple(
            _difference(a, b, volumes) for a, b in combinations(_repeated(sweeps), 2)
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
        if not len(frames.feasible):
            raise ResultsError(f"sweep {frames.name} has no finished trial that its study allows")


def _side(frames: SweepFrames, volume: float) -> Side:
    spent = column(frames.trials, "trial_cpu_s")
    known = spent[np.isfinite(spent)]
    return Side(
        name=frames.name,
        trials=len(frames.feasible),
        front=len(front_trials(frames)),
        hypervolume=volume,
        core_hours=float(known.sum()) / 3600.0 if len(known) else math.nan,
    )


def _repeated(sweeps: Sequence[SweepFrames]) -> list[tuple[str, ...]]:
    """Return the sweeps' names; repetitions with other search seeds stand together."""
    groups: dict[str, dict[str, str]] = {}
    for frames, entries in zip(sweeps, _files(sweeps), strict=True):
        seed = entries.pop(SEARCH_SEED, "0")
        groups.setdefault(str(sorted(entries.items())), {})[frames.name] = str(seed)
    found = [tuple(seeds) for seeds in groups.values() if len({*seeds.values()}) == len(seeds)]
    whole = len(found) == len(groups) > 1
    return found if whole else [(frames.name,) for frames in sweeps]


def _difference(
    first: tuple[str, ...], second: tuple[str, ...], volumes: Mapping[str, float]
) -> Difference:
    ours, theirs = ([volumes[name] for name in names] for names in (first, second))
    tested = min(len(first), len(second)) > 1
    return Difference(
        first=first,
        second=second,
        value=fmean(ours) - fmean(theirs),
        p_value=p_value(ours, theirs) if tested else None,
    )


def p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the share of deals of all numbers whose means are as far apart as these.

    The exact two-sided permutation test (Fisher 1935): every way to deal the numbers out counts
    once, the observed one among them.
    """
    every, count = np.array([*first, *second]), len(first)
    deals = np.array(list(combinations(range(len(every)), count)))
    ours = every[deals].sum(axis=1)
    apart = np.abs(ours / count - (every.sum() - ours) / (len(every) - count))
    # sums in another order differ in the last digits
    return float((apart >= apart[0] * (1.0 - 1e-9)).mean())


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
    files = _files(sweeps)
    places = dict.fromkeys(place for file in files for place in file)
    rows = {place: tuple(str(file.get(place, "")) for file in files) for place in places}
    return {place: row for place, row in rows.items() if len(set(row)) > 1}


def _files(sweeps: Sequence[SweepFrames]) -> list[dict[str, Any]]:
    """Return the entries of the study files by dotted place, without their texts."""
    raw = [load_yaml(frames.study.text, frames.name) for frames in sweeps]
    return [dict(leaves({k: v for k, v in file.items() if k not in TEXTS})) for file in raw]
