"""What a topology costs and buys: the best student of each, and what it takes to have it."""

from collections.abc import Mapping
from typing import Any

from analysis.distillation import best_of, gain_of
from analysis.format import gap_unit, level, number, quantity
from analysis.frames import PARAM, SweepFrames
from analysis.fronts import feasible_trials
from analysis.ranking import records
from analysis.stats import Interval
from search_spaces.objectives import Objective

Row = Mapping[str, Any]

TOPOLOGY = PARAM + "topology"


def topologies(frames: SweepFrames) -> str:
    """Return the best student of each topology on validation, the dearer ones against the cheapest.

    Empty if the trials have one topology. Cheapest is what has least of the last objective of which
    all need something, such as bytes over the air.
    """
    objective, *others = frames.study.objectives
    trials = records(feasible_trials(frames))
    names = dict.fromkeys(str(row[TOPOLOGY]) for row in trials if row.get(TOPOLOGY))
    if len(names) < 2:
        return ""
    best = {
        name: best_of([row for row in trials if row[TOPOLOGY] == name], objective) for name in names
    }
    costs = [o for o in others if all(row[o.metric] > 0 for row in best.values())]
    if not costs:
        return ""
    cost = costs[-1]
    order = sorted(best, key=lambda name: -gain_of(cost, best[name][cost.metric]))

    def shown(name: str) -> str:
        row = best[name]
        taken = [quantity(Interval(row[o.metric], None, 1), o.unit) for o in costs]
        values = ", ".join([level(row[objective.metric], objective.unit), *taken])
        return f"{name} {values} (trial {int(row['number'])})"

    first = best[order[0]]
    against = [_bought(best[name], first, objective, cost) for name in order[1:]]
    listed = ", ".join(o.label for o in (objective, *costs))
    return (
        f"The best of each topology on validation, {listed}: {'; '.join(map(shown, order))}. "
        f"Beside {order[0]}, of the {cost.label}: {', '.join(against)}."
    )


def _bought(row: Row, first: Row, objective: Objective, cost: Objective) -> str:
    gain = gain_of(objective, row[objective.metric] - first[objective.metric])
    amount = level(abs(gain), gap_unit(objective.unit))
    words = f"{row[TOPOLOGY]} is {amount} {'better' if gain > 0 else 'worse'}"
    return f"{words} for {number(row[cost.metric] / first[cost.metric], 1)} times as much"
