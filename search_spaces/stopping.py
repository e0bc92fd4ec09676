"""Which trials are stopped before they are trained to their end."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictFloat, StrictInt, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import StudyError
from search_spaces.fields import Count, Name, Part


@dataclass(frozen=True, kw_only=True)
class Stopping(Part):
    """Multi-objective asynchronous successive halving, in its stopping variant.

    Trials are compared at rungs, which are shares of their own training, so that students with
    different numbers of epochs meet at equal fidelity. At a rung, a trial continues if it is among
    the best 1 of eta of all trials that have reached the rung so far.
    """

    kind: Literal["asha"] = "asha"
    """Multi-objective asynchronous successive halving."""
    min_share: StrictFloat = 0.125
    """Share of its training before a trial is compared with others for the first time."""
    eta: Annotated[StrictInt, Field(ge=2)] = 3
    """Of so many trials at a rung one continues; the next rung is so many times later."""
    min_trials: Count = 4
    """A rung stops no trial before so many trials have reached it."""
    keep: tuple[Name, ...] = ()
    """Parameters: of each of their values at least one trial is trained to its end.

    So is one of the trials without a teacher.
    """
    within: tuple[Name, ...] = ()
    """Parameters: trials are compared with those that have the same values of them.

    For methods whose learning curves cross: one that is ahead early would stop all of the others.
    """

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0.0 < self.min_share < 1.0:
            raise StudyError(
                f"must lie between 0 and 1, got {self.min_share}; it is the share of the training "
                "before the first rung",
                place="min_share",
            )
        return self

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of the training at which trials are compared, ascending, all below 1."""
        shares = []
        share = self.min_share
        while share < 1.0:
            shares.append(share)
            share *= self.eta
        return tuple(shares)
