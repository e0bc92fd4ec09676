"""Time is injected, so that budgets are tested without waiting."""

import time
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
