"""Facts about trials, frozen: what was asked for and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kdtasks.config import Value


class TrialState(StrEnum):
    """Where a trial stands; the names are Optuna's."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One trial as the ledger knows it.

    Attributes:
        number: Its number in the ledger, from 0.
        state: Where it stands.
        params: The parameters that were searched.
        metrics: Final numbers; empty until it is complete.
        reason: Why it failed; empty otherwise.
        duplicate: True if the suggestion repeated a known configuration and was never run.
    """

    number: int
    state: TrialState
    params: Mapping[str, Value]
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    duplicate: bool = False
