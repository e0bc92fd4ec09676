"""From the finished trials of a run to what it had to pay for its hypervolume."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis import pareto
from search_spaces.objectives import Objective


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A finished trial.

    Attributes:
        at_s: When it had ended, since the start of the run [s].
        values: Its objectives.
    """

    at_s: float
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The hypervolume of a run over time; it never falls.

    Attributes:
        at_s: When trials ended, since the start of the run [s], ascending.
        volume: Hypervolume of all that had ended by then.
    """

    at_s: tuple[float, ...]
    volume: tuple[float, ...]

    @classmethod
    def of(cls, found: Sequence[Found], objectives: Sequence[Objective]) -> "Curve":
        """Return the curve of finished trials in any order."""
        order = sorted(found, key=lambda trial: trial.at_s)
        values = [trial.values for trial in order]
        return cls(
            at_s=tuple(trial.at_s for trial in order),
            volume=tuple(pareto.sweep_hypervolume_series(values, objectives)),
        )

    @property
    def final(self) -> float:
        """Hypervolume at the end; 0 without trials."""
        return self.volume[-1] if self.volume else 0.0

    def reached_s(self, volume: float) -> float:
        """Return when a hypervolume was reached, since the start [s]; infinite if it never was."""
        found = zip(self.at_s, self.volume, strict=True)
        return next((at_s for at_s, has in found if has >= volume), math.inf)
