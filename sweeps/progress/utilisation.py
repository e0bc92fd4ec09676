"""Utilisation of the slots."""

import math
from dataclasses import dataclass, field

from sweeps.common.clock import Clock


@dataclass
class Utilisation:
    """Tracks the use of the slots' time.

    Attributes:
        slots: Trials that can run at once.
    """

    slots: int
    clock: Clock
    _running: dict[int, float] = field(default_factory=dict)
    _spans: list[tuple[float, float]] = field(default_factory=list)
    _begun_s: float | None = None
    _warm_s: float | None = None
    _last_start_s: float = 0.0

    def begin(self) -> None:
        """The search begins: the slots count from now on."""
        self._begun_s = self.clock.elapsed_s()

    def started(self, number: int) -> None:
        """A trial starts."""
        now_s = self.clock.elapsed_s()
        self._running[number] = now_s
        self._last_start_s = now_s
        if self._warm_s is None and len(self._running) == self.slots:
            self._warm_s = now_s

    def ended(self, number: int, wall_s: float) -> None:
        """A trial ended after its process had worked ``wall_s`` [s]; NaN if unknown."""
        now_s = self.clock.elapsed_s()
        begun_s = self._running.pop(number, now_s)
        # the worker's time is preferred: the driver's includes its own delays
        self._spans.append((begun_s if math.isnan(wall_s) else now_s - wall_s, now_s))

    def share(self) -> float:
        """Return the share of the slots' time used by trials once all slots were warm.

        From the moment all slots were in use to the last start of a trial; NaN if that is no time.
        """
        if self._warm_s is None or self._last_start_s <= self._warm_s:
            return math.nan
        return self._busy(self._warm_s, self._last_start_s)

    def whole(self) -> float:
        """Return the share of the slots' time used by trials in the whole search.

        From `begin` to now while a trial runs, else to the last end of a trial, including the start
        of the workers and idle slots at the end. NaN if that is no time.
        """
        last_s = max((end_s for _, end_s in self._spans), default=-math.inf)
        if self._running:
            last_s = self.clock.elapsed_s()
        if self._begun_s is None or last_s <= self._begun_s:
            return math.nan
        return self._busy(self._begun_s, last_s)

    def _busy(self, first_s: float, last_s: float) -> float:
        spans = self._spans + [(begun_s, last_s) for begun_s in self._running.values()]
        busy_s = sum(max(0.0, min(end, last_s) - max(begin, first_s)) for begin, end in spans)
        return busy_s / (self.slots * (last_s - first_s))
