"""What distillation buys: better students, students trained with less computation, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.clusters import paired_difference
from analysis.format import percent, quantity
from analysis.frames import SweepFrames
from analysis.fronts import kind_of, method_of, topology_of, untaught
from analysis.ranking import records
from analysis.scores import Row, Score, both, known
from analysis.stats import Interval, Verdict, judge
from search_spaces.effort import Effort
from search_spaces.objectives import Objective

SPENT = "train_gflop"
"""Metric of a trial: computation of its student's training [GFLOP]."""

EQUAL = 0.1
"""Efforts that differ by no more than this share of the greater one count as equal."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The best student with a teacher, and the best one without, on validation.

    Attributes:
        plain: Trial without; of those that cost no more than ``taught``, if there is one.
        dearer: Whether there is none, so that ``plain`` costs more.
    """

    taught: Row
    plain: Row
    dearer: bool


def compared(frames: SweepFrames) -> Pair | str:
    """Return the two trials that show what a teacher adds; without them, why, or empty.

    It is empty for a sweep that has neither teachers nor methods.
    """
    rows = records(frames.feasible)
    plain = [row for row in rows if untaught(row)]
    taught = [row for row in rows if row["taught"]]
    if not taught:
        if {method_of(row) for row in rows} == {"trial"}:
            return ""
        return "No finished trial had a teacher: distillation was not tried."
    if not plain:
        return "No trial without a teacher finished, so what distillation adds is unknown."
    return _pair(frames, taught, plain)


def _pair(frames: SweepFrames, taught: Sequence[Row], plain: Sequence[Row]) -> Pair:
    objective = frames.study.objectives[0]
    best = best_of(taught, objective)
    rivals = [row for row in plain if costs_no_more(frames, row, best)]
    return Pair(best, best_of(rivals or plain, objective), dearer=not rivals)


def pairs_by_kind(frames: SweepFrames) -> dict[str, Pair]:
    """Return for each method with a teacher its best student and the best without, by their kind.

    In a sweep of several topologies both have the same one; a topology whose students all had a
    teacher is left out. Students that were repeated on test come first, if both were.
    """
    repeated = {int(number) for number in frames.confirmations["number"]}
    taught: dict[str, list[Row]] = {}
    plain: dict[str, list[Row]] = {}
    for row in records(frames.feasible):
        if row["taught"]:
            taught.setdefault(kind_of(row), []).append(row)
        elif untaught(row):
            plain.setdefault(topology_of(row), []).append(row)
    found = {}
    for kind, rows in taught.items():
        if rivals := plain.get(topology_of(rows[0])):
            groups = [[row for row in part if row["number"] in repeated] for part in (rows, rivals)]
            found[kind] = _pair(frames, rows, rivals)
            if all(groups) and not (pair := _pair(frames, *groups)).dearer:
                found[kind] = pair
    return found


def bought(frames: SweepFrames, pair: Pair) -> list[str]:
    """Return sentences on the effort of both trials, and on what a teacher saves."""
    found = [f"{_regime(frames)} {_efforts(pair)}", _speed(frames, pair), _teachers(frames)]
    return [sentence for sentence in found if sentence]


def _regime(frames: SweepFrames) -> str:
    effort = frames.study.effort
    if effort is None or effort.regime == "as-published":
        return "The study does not even out the effort of training."
    if effort.regime == "plateau":
        return "Each student was trained until validation no longer improved."
    if effort.gflop is None:
        return "Students with equal effort_gflop had equal computation."
    return f"Each student had about {gflop(effort.gflop)} of training, in whole epochs."


def _efforts(pair: Pair) -> str:
    ours, theirs = spent(pair.taught), spent(pair.plain)
    if ours is None or theirs is None:
        return "What training took was not noted, so this compares two trials, not methods."
    words = f"{gflop(ours)} with a teacher and {gflop(theirs)} without"
    if differs(ours, theirs):
        return f"Training took {words}: that compares two trials, not methods."
    return f"Training took {words}."


def _speed(frames: SweepFrames, pair: Pair) -> str:
    """Say with how much less training students with a teacher are as good as the best without.

    Empty if all have the same: then a teacher can make students better, not sooner good.
    """
    if frames.study.effort is not None and frames.study.effort.gflop is not None:
        return ""
    good = [
        row
        for row in records(frames.feasible)
        if better_by(frames.study.objectives[0], row, pair.plain) >= 0.0
        and (pair.dearer or costs_no_more(frames, row, pair.taught))
    ]
    taught = [effort for row in good if row["taught"] and (effort := spent(row))]
    plain = [effort for row in good if untaught(row) and (effort := spent(row))]
    if not taught or not plain:
        return ""
    least = min(taught), min(plain)
    factor = least[1] / least[0]
    shown = f"{percent(1.0 / factor)} % of the computation"
    if factor > 1.0 + EQUAL:
        shown = f"{factor:.1f} times less computation"
    what = f"{shown}, {gflop(least[0])} against {gflop(least[1])}"
    return (
        f"On validation, a student with a teacher needs {what}, to be as good as the best without "
        "one; the teacher's own training is not in that."
    )


def _teachers(frames: SweepFrames) -> str:
    """Say what the training of teachers took."""
    efforts = [effort for row in records(frames.teachers) if (effort := spent(row))]
    if not efforts:
        return ""
    if len(efforts) == 1:
        return f"Training the teacher took {gflop(efforts[0])}."
    total = gflop(float(np.sum(efforts)))
    return f"Training the {len(efforts)} teachers took {total} together."


def effort_text(effort: Effort | None) -> str:
    """Return what ends the training of a study's students, in few words."""
    if effort is None:
        return "the study's epochs"
    if effort.regime == "gflop" and effort.gflop is not None:
        return f"{gflop(effort.gflop)} for each student"
    words = {"gflop": "equal computation", "plateau": "to a plateau"}
    return words.get(effort.regime, "as published")


def gflop(value: float) -> str:
    """Return an amount of computation, given in GFLOP, with a unit that suits it."""
    return quantity(value, "GFLOP")


def spent(row: Row) -> float | None:
    """Return the computation of a student's training [GFLOP]; None if it was not noted."""
    value = known(row, SPENT)
    return value if value is not None and value > 0.0 else None


def differs(first: float, second: float) -> bool:
    """Return whether two efforts are further apart than `EQUAL`."""
    return abs(first - second) > EQUAL * max(first, second)


def costs_no_more(frames: SweepFrames, row: Row, other: Row) -> bool:
    """Return whether a trial is no worse than another in every objective but the first."""
    return all(better_by(goal, row, other) >= 0.0 for goal in frames.study.objectives[1:])


def best_of(rows: Sequence[Row], objective: Objective) -> Row:
    """Return the best of some trials in one objective."""
    return max(rows, key=lambda row: gain_of(objective, row[objective.metric]))


def better_by(objective: Objective, row: Row, other: Row) -> float:
    """Return by how much one trial or reference is better than another."""
    return gain_of(objective, row[objective.metric] - other[objective.metric])


def gain_of(objective: Objective, difference: float) -> float:
    """Return a difference of an objective such that more is better."""
    return -difference if objective.direction == "minimize" else difference


@dataclass(frozen=True, slots=True)
class MethodGain:
    """The best student of a method beside the best one without a teacher.

    Attributes:
        gain: Difference over common seeds, more is better; without an interval if there is but one.
        verdict: On "distillation gains".
    """

    pair: Pair
    ours: Score
    theirs: Score
    gain: Interval
    verdict: Verdict


def method_gains(frames: SweepFrames) -> list[MethodGain]:
    """Return the gain of every method that had a teacher, the largest first."""
    found = [method_gain(frames, pair) for pair in pairs_by_kind(frames).values()]
    return sorted(found, key=lambda one: -one.gain.mean)


def method_gain(frames: SweepFrames, pair: Pair) -> MethodGain:
    """Return by how much one student is better than the other, over the seeds of both."""
    ours, theirs = both(frames, pair.taught, pair.plain)
    difference = paired_difference(ours.by_seed, theirs.by_seed)
    if difference is None:
        difference = Interval(ours.interval.mean - theirs.interval.mean, None, 1)
    mean = gain_of(frames.study.objectives[0], difference.mean)
    gain = replace(difference, mean=mean)
    return MethodGain(pair, ours, theirs, gain, judge(gain, strict=True))
