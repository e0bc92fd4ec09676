"""Time is injected, so that budgets are tested without waiting."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Measures durations and gives the date."""

    def elapsed_s(self) -> float:
        """Return seconds since a fixed moment; never jumps back."""

    def epoch_ms(self) -> int:
        """Return the date as milliseconds since 1970, as MLflow wants it."""


class SystemClock:
    """The machine's clocks."""

    def elapsed_s(self) -> float:
        return time.monotonic()

    def epoch_ms(self) -> int:
        return time.time_ns() // 1_000_000


@dataclass
class SimulatedClock:
    """A clock that is set to ``now_s``: simulated time, or the time of a log's line [s]."""

    now_s: float = 0.0

    def elapsed_s(self) -> float:
        return self.now_s

    def epoch_ms(self) -> int:
        return int(self.now_s * 1000)
