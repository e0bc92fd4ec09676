"""Which trials are stopped before they are trained to their end."""

from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Multi-objective asynchronous successive halving, in its stopping variant.

    Trials are compared at rungs, which are shares of their own training, so that students with
    different numbers of epochs meet at equal fidelity. The first rung is at ``min_share``, each
    next one ``eta`` times later. At a rung goes on who is among the best 1 of ``eta`` of all trials
    that have reached it so far.

    Attributes:
        kind: Name of the rule.
        min_share: Share of the training before the first rung, in (0, 1).
        eta: Of so many trials at a rung one goes on; at least 2.
        min_trials: A rung stops nobody before so many trials have reached it.
        keep: Parameters of the space; of the trials with one value of such a parameter, one at
            least is trained to its end, as is one of the trials without a teacher.
    """

    kind: Literal["asha"] = "asha"
    min_share: float = 0.125
    eta: int = 3
    min_trials: int = 4
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.min_share < 1.0:
            raise StudyError(
                f"must lie between 0 and 1, got {self.min_share}; it is the share of the training "
                "before the first rung",
                place="min_share",
            )
        if self.eta < 2:
            raise StudyError(f"must be at least 2, got {self.eta}", place="eta")
        if self.min_trials < 1:
            raise StudyError(f"must be at least 1, got {self.min_trials}", place="min_trials")

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of the training at which trials are compared, ascending, all below 1."""
        shares = []
        share = self.min_share
        while share < 1.0:
            shares.append(share)
            share *= self.eta
        return tuple(shares)
