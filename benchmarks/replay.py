"""Replays a search on a simulated clock, with reports from a table.

Asynchronous halving depends on the order of reports, so several slots are simulated: reports of
parallel trials interleave according to their durations.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.common.clock import SimulatedClock
from sweeps.common.events import Event


class Searching(Protocol):
    """A search to replay, such as `sweeps.search.session.SearchSession`."""

    def assign(self, trial_id: str) -> Any | None:
        """Return the trial's assignment; None if there is nothing left."""

    def started(self, trial_id: str) -> None:
        """The trial begins."""

    def stops(self, trial_id: str, event: Event) -> bool:
        """Return whether the trial must stop after this event."""

    def finished(self, trial_id: str, event: Event) -> None:
        """The trial ended or was stopped with this event."""


Learning = Callable[[Any], Iterator[tuple[float, Event]]]
"""Yields the events of an assignment with the seconds since the one before; the last is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """The cost of a replay.

    Attributes:
        trials: Number of trials.
        epochs: Epochs that they trained in all.
        seconds: Simulated time.
    """

    trials: int
    epochs: int
    seconds: float


def replay(search: Searching, learning: Learning, *, slots: int, clock: SimulatedClock) -> Replayed:
    """Run a search to its end."""
    # simultaneous events are handled in the order of their trials
    waiting: list[tuple[float, int, Event, Iterator[tuple[float, Event]]]] = []
    trials = epochs = 0
    begun_s = clock.now_s

    def begin() -> None:
        nonlocal trials
        assignment = search.assign(str(trials))
        if assignment is None:
            return
        number, trials = trials, trials + 1
        search.started(str(number))
        push(number, iter(learning(assignment)))

    def push(number: int, coming: Iterator[tuple[float, Event]]) -> None:
        seconds, event = next(coming)
        heapq.heappush(waiting, (clock.now_s + seconds, number, event, coming))

    for _ in range(slots):
        begin()
    while waiting:
        clock.now_s, number, event, coming = heapq.heappop(waiting)
        epochs += not event.done
        if event.done or search.stops(str(number), event):
            search.finished(str(number), event)
            begin()
        else:
            push(number, coming)
    return Replayed(trials=trials, epochs=epochs, seconds=clock.now_s - begun_s)
