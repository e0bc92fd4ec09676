"""What a topology costs and buys: the best student of each, and what it takes to have it."""

from analysis.distillation import best_of, gain_of
from analysis.format import gap_unit, level, number
from analysis.frames import SweepFrames
from analysis.fronts import feasible_trials, topology_of
from analysis.ranking import records
from analysis.scores import Row, cost_of, value_of
from search_spaces.objectives import Objective


def topologies(frames: SweepFrames) -> str:
    """Return the best student of each topology on validation, the dearer ones against the cheapest.

    Empty if the trials have one topology. Cheapest is what has least of the last objective of which
    all need something, such as bytes over the air.
    """
    objective, *others = frames.study.objectives
    trials: dict[str, list[Row]] = {}
    for row in records(feasible_trials(frames)):
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
    gain = gain_of(objective, row[objective.metric] - first[objective.metric])
    amount = level(abs(gain), gap_unit(objective.unit))
    words = f"{topology_of(row)} is {amount} {'better' if gain > 0 else 'worse'}"
    return f"{words} for {number(row[cost.metric] / first[cost.metric], 1)} times as much"
