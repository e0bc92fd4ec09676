"""Learning curves: metrics that trials report while they train, thinned for the ledger and MLflow.

Trials with a network have none: their nodes train in turn, so their reports do not form a
single curve.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from analysis.layout import TOPOLOGY
from kdtasks.contract.params import Params
from kdtasks.data.reading import parsed_json
from search_spaces.study import Study
from sweeps.common.events import Event

T = TypeVar("T")

MOST_POINTS = 50
"""Points of a curve in MLflow, its last one included."""

MOST_CURVES = 5
"""Curves kept per trial: objectives and constraints first, then in the order of reporting."""

ALONE = "none"
"""The topology of a trial without a network."""

DIGITS = 6
"""Significant digits that are kept of a point."""

Curve = list[tuple[int, float]]
"""Pairs of epoch and value; epochs increase."""


@dataclass(slots=True)
class _Running:
    """Curves of a running trial, with at most twice as many points as are kept in the end."""

    last: int = 0
    points: dict[str, Curve] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        points = self.points.setdefault(name, [])
        if points and points[-1][0] == self.last:
            points.pop()
        points.append((self.last, value))
        if len(points) > 2 * MOST_POINTS:
            del points[1:-1:2]


class Curves:
    """Collects the curves of running trials."""

    def __init__(self, study: Study) -> None:
        goals = [goal.metric for goal in study.objectives]
        self._first = [*goals, *(bound.metric for bound in study.constraints)]
        self._running: dict[int, _Running] = {}

    def begin(self, number: int, config: Params) -> None:
        """Start the curves of a trial, unless it trains a network of nodes."""
        if config.get(TOPOLOGY, ALONE) == ALONE:
            self._running[number] = _Running()

    def add(self, number: int, event: Event) -> None:
        """Add a report; an epoch earlier than the last one means that the trial restarted."""
        running = self._running.get(number)
        if running is None or event.epoch < 1:
            return
        if event.epoch < running.last:
            running.points.clear()
        running.last = event.epoch
        for name, value in event.metrics.items():
            if math.isfinite(value):
                running.add(name, value)

    def end(self, number: int) -> str:
        """Return the curves of a trial that has ended, as `read` takes them; empty if it has none.

        JSON text is small: a sweep holds the curves of thousands of trials in memory.
        """
        points = self._running.pop(number, _Running()).points
        names = sorted(points, key=lambda name: name not in self._first)[:MOST_CURVES]
        kept = {
            name: [(epoch, float(f"{value:.{DIGITS}g}")) for epoch, value in thinned(points[name])]
            for name in names
        }
        return json.dumps(kept, separators=(",", ":")) if kept else ""


def thinned(items: Sequence[T], count: int = MOST_POINTS) -> list[T]:
    """Return at most ``count`` of some items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    step = (len(items) - 1) / max(1, count - 1)
    return [items[round(place * step)] for place in range(count)]


def read(text: str) -> Mapping[str, Curve]:
    """Return the curves of a trial by name."""
    curves = parsed_json(text) if text else {}
    return {name: [(int(n), float(value)) for n, value in curve] for name, curve in curves.items()}
