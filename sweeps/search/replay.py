"""A search on a simulated clock: what trials say comes from a table, and no time passes.

Order matters to asynchronous halving, so several slots are simulated: reports of trials that run
side by side interleave as their durations have it.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.common.events import Event


@dataclass
class SimulatedClock:
    """A clock that moves only when something happens.

    Attributes:
        now_s: Seconds since the search began.
    """

    now_s: float = 0.0

    def elapsed_s(self) -> float:
        return self.now_s

    def epoch_ms(self) -> int:
        return int(self.now_s * 1000)


class Searching(Protocol):
    """What is replayed; `sweeps.search.session.SearchSession` is one."""

    def assign(self, trial_id: str) -> Any | None:
        """Return what the trial is to do; None if there is nothing left."""

    def started(self, trial_id: str) -> None:
        """The trial begins."""

    def stops(self, trial_id: str, event: Event) -> bool:
        """Return whether the trial is to be stopped after what it said."""

    def finished(self, trial_id: str, event: Event) -> None:
        """The trial has ended, or was stopped, with this event."""


Learning = Callable[[Any], Iterator[tuple[float, Event]]]
"""What an assignment would say: seconds since it last spoke, and the event; the last is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay took.

    Attributes:
        trials: Trials that began.
        epochs: Epochs that they trained, all together.
        seconds: Simulated time.
    """

    trials: int
    epochs: int
    seconds: float


def replay(search: Searching, learning: Learning, *, slots: int, clock: SimulatedClock) -> Replayed:
    """Run a search to its end."""
    # of what happens at the same moment, first what was begun first
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
        speak(number, iter(learning(assignment)))

    def speak(number: int, words: Iterator[tuple[float, Event]]) -> None:
        seconds, event = next(words)
        heapq.heappush(waiting, (clock.now_s + seconds, number, event, words))

    for _ in range(slots):
        begin()
    while waiting:
        clock.now_s, number, event, words = heapq.heappop(waiting)
        epochs += not event.done
        if event.done or search.stops(str(number), event):
            search.finished(str(number), event)
            begin()
        else:
            speak(number, words)
    return Replayed(trials=trials, epochs=epochs, seconds=clock.now_s - begun_s)
