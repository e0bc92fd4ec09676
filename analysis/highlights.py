"""Trials that a reader wants first: the best, the knee, the cheapest that beats the baseline."""

from collections.abc import Collection, Sequence

import numpy as np

from analysis.distillation import best_of, better_by, gain_of
from analysis.format import gap_unit, level, number, plural
from analysis.frames import SweepFrames
from analysis.fronts import (
    front_trials,
    knee_trial,
    split_label,
    test_metric,
    topology_of,
    untaught,
)
from analysis.ranking import records
from analysis.reference_names import identifying, labelled
from analysis.scores import (
    Row,
    both,
    cost_of,
    in_words,
    name_of,
    same_scenario,
    score,
    value_of,
)
from search_spaces.objectives import Objective


def highlights(frames: SweepFrames) -> list[tuple[str, str]]:
    """Return the best, the knee and the cheapest trial that beats the baseline, as far as known.

    Each has a heading, and a sentence on what to know of it.
    """
    front = records(front_trials(frames))
    if not front:
        return []
    goals, middle = frames.study.objectives, knee_trial(frames)
    found = [(f"Best {goals[0].label}", f"{_described(frames, front[0])}.")]
    if len(goals) > 1:
        if middle == front[0]["number"]:
            text = "The best, too: no member of the front is nearer to the best of all objectives."
        else:
            [row] = [row for row in front if row["number"] == middle]
            text = f"{_described(frames, row)}; nearest to the best of all objectives at once."
        found.append(("Knee", text))
    found += _cheapest(frames, {middle, int(front[0]["number"])})
    if words := _topologies(frames):
        found.append(("What topologies cost and buy", words))
    return found


def _described(frames: SweepFrames, row: Row) -> str:
    """Return a trial with its objectives, on test where it was repeated."""
    goal, *others = frames.study.objectives
    name = name_of(row)
    text = f"{name[0].upper()}{name[1:]}: {value_of(row, goal)}"
    if test_metric(goal) is not None:
        text += " on validation, "
        tested = score(frames, row, "test")
        if tested is None:
            text += "not repeated on test"
        else:
            shown, seeds = level(tested.interval, goal.unit), plural(tested.interval.count, "seed")
            text += f"{shown} on test ({seeds})"
    costs = [f"{other.label} {cost_of(row, other)}" for other in others]
    return "; ".join([text, ", ".join(costs)] if costs else [text])


def _cheapest(frames: SweepFrames, described: Collection[int | None]) -> list[tuple[str, str]]:
    """Return the trial that costs least of those that beat the best reference of their data.

    What it costs is the first objective that does not depend on data. The reference is the best
    baseline; without baselines the best student without a teacher.
    """
    goal, *others = frames.study.objectives
    costs = [other for other in others if not split_label(other)]
    beaten = _rivals(frames, records(frames.feasible))
    if not costs or not beaten:
        return []
    kind = "the best baseline" if len(frames.baselines) else "the best student without a teacher"
    title = f"Cheapest that beats {kind}"
    better = [(row, rival) for row, rival in beaten if better_by(goal, row, rival) > 0.0]
    if not better:
        name = _reference_name(frames, beaten[0][1])
        shown = value_of(beaten[0][1], goal)
        return [(title, f"No trial does: {name} has {shown} on validation.")]
    least = best_of([row for row, _ in better], costs[0])[costs[0].metric]
    equal = [(row, rival) for row, rival in better if row[costs[0].metric] == least]
    row, rival = max(equal, key=lambda pair: gain_of(goal, pair[0][goal.metric]))
    name = name_of(row)
    text = f"{name[0].upper()}{name[1:]}, as above"
    if row["number"] not in described:
        text = _described(frames, row)
    return [(title, f"{text}; {_against(frames, row, rival)}.")]


def _rivals(frames: SweepFrames, rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return each trial with the best reference of its data on validation, where there is one."""
    goal = frames.study.objectives[0]
    baselines: Sequence[Row] = records(frames.baselines)
    columns = identifying(frames.baselines)
    known = baselines or [row for row in rows if untaught(row)]
    known = [one for one in known if np.isfinite(one.get(goal.metric, np.nan))]
    known.sort(key=lambda one: -gain_of(goal, one[goal.metric]))
    found: list[tuple[Row, Row]] = []
    for row in rows:
        same = (one for one in known if not baselines or same_scenario(columns, one, row))
        if (rival := next(same, None)) is not None:
            found.append((row, rival))
    return found


def _reference_name(frames: SweepFrames, rival: Row) -> str:
    if not len(frames.baselines):
        return name_of(rival)
    names = labelled(frames.baselines, "baseline")
    keys = [row["key"] for row in records(frames.baselines)]
    return names[keys.index(rival["key"])]


def _against(frames: SweepFrames, row: Row, rival: Row) -> str:
    """Return how much better a trial is than its reference, on the split that both have."""
    goal = frames.study.objectives[0]
    ours, theirs = both(frames, row, rival)
    gain = gain_of(goal, ours.interval.mean - theirs.interval.mean)
    shown = level(theirs.interval.mean, goal.unit)
    text = f"on {ours.split} {in_words(gain, goal)} {_reference_name(frames, rival)} ({shown})"
    half = ours.interval.half_width
    return text if half is None or half < abs(gain) else f"{text}, which its interval includes"


def _topologies(frames: SweepFrames) -> str:
    """Return the best student of each topology on validation, the dearer ones against the cheapest.

    Empty if the trials have one topology. Cheapest is what has least of the last objective of which
    all need something, such as bytes over the air.
    """
    objective, *others = frames.study.objectives
    trials: dict[str, list[Row]] = {}
    for row in records(frames.feasible):
        trials.setdefault(topology_of(row), []).append(row)
    if len(trials) < 2:
        return ""
    best = {name: best_of(rows, objective) for name, rows in trials.items()}
    costs = [o for o in others if all(row[o.metric] > 0 for row in best.values())]
    if not costs:
        return ""
    cost = costs[-1]
    order = sorted(best, key=lambda name: -gain_of(cost, best[name][cost.metric]))

    def shown(name: str) -> str:
        row = best[name]
        values = ", ".join([value_of(row, objective), *(cost_of(row, o) for o in costs)])
        return f"{name} {values} (trial {int(row['number'])})"

    first = best[order[0]]
    against = [_bought(best[name], first, objective, cost) for name in order[1:]]
    listed = ", ".join(o.label for o in (objective, *costs))
    return (
        f"The best of each topology on validation, {listed}: {'; '.join(map(shown, order))}. "
        f"Beside {order[0]}, of the {cost.label}: {', '.join(against)}."
    )


def _bought(row: Row, first: Row, objective: Objective, cost: Objective) -> str:
    gain = better_by(objective, row, first)
    amount = level(abs(gain), gap_unit(objective.unit))
    words = f"{topology_of(row)} is {amount} {'better' if gain > 0 else 'worse'}"
    return f"{words} for {number(row[cost.metric] / first[cost.metric], 1)} times as much"
