"""One trial, baseline or teacher in the first objective: on which split, and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.clusters import Repetition, Values, clustered_interval
from analysis.format import gap_unit, level, quantity
from analysis.frames import SweepFrames
from analysis.fronts import kind_of, repeated, test_metric
from analysis.stats import Interval
from search_spaces.objectives import Objective

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """A run's value of the first objective, on the split that was available.

    Attributes:
        split: ``test`` or ``validation``.
        by_seed: Value by seed; one entry where it was not repeated.
    """

    split: str
    by_seed: Values

    @property
    def interval(self) -> Interval:
        """Mean over the seeds with its interval."""
        return clustered_interval(self.by_seed)


def comparable(frames: SweepFrames, first: Row, second: Row) -> tuple[Score | None, Score | None]:
    """Return both on the test split if both have it, else both on validation."""
    tested = score(frames, first, "test"), score(frames, second, "test")
    if None not in tested:
        return tested
    return score(frames, first, "validation"), score(frames, second, "validation")


def both(frames: SweepFrames, first: Row, second: Row) -> tuple[Score, Score]:
    """Return `comparable` of two trials or baselines with a value on validation."""
    ours, theirs = comparable(frames, first, second)
    assert ours is not None
    assert theirs is not None
    return ours, theirs


def score(frames: SweepFrames, row: Row, split: str) -> Score | None:
    """Return the first objective of a trial, baseline or teacher on one split, None if unknown."""
    objective = frames.study.objectives[0]
    metric = objective.metric if split == "validation" else test_metric(objective)
    if metric is None:
        return None
    if split == "test" and row["number"] is not None:
        by_seed = repeated(frames, row["number"], metric)
        return Score(split, by_seed) if by_seed else None
    value = known(row, metric)
    return None if value is None else Score(split, {Repetition(0): value})


def known(row: Row, metric: str) -> float | None:
    """Return a metric of a run, None if it was not measured."""
    value = row.get(metric)
    return float(value) if isinstance(value, float) and np.isfinite(value) else None


def same_scenario(names: Sequence[str], row: Row, trial: Row) -> bool:
    """Return whether a reference belongs to a trial: both agree in what tells references apart."""
    shared = [name for name in names if None not in (trial.get(name), row[name])]
    return all(row[name] == trial[name] for name in shared)


def in_words(gain: float, objective: Objective) -> str:
    """Return ``1.10 dB better than``, or that there is no difference to be seen."""
    amount = level(abs(gain), gap_unit(objective.unit))
    number = amount.split("\N{NO-BREAK SPACE}")[0].replace("\N{NARROW NO-BREAK SPACE}", "")
    if float(number) == 0.0:
        return "no different from"
    return f"{amount} {'better' if gain > 0.0 else 'worse'} than"


def value_of(row: Row, objective: Objective) -> str:
    """Return an objective of a trial with its unit."""
    return level(row[objective.metric], objective.unit)


def cost_of(row: Row, objective: Objective) -> str:
    """Return an objective of a trial as a rounded quantity, such as ``8.34 kB``."""
    return quantity(float(row[objective.metric]), objective.unit)


def name_of(row: Row) -> str:
    """Return ``trial 8 (encoder-kd)``."""
    kind = kind_of(row)
    number = f"trial {int(row['number'])}"
    return number if kind == "trial" else f"{number} ({kind})"
