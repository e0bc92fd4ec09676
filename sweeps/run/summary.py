"""What a sweep came to, for whoever started it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdtasks.contract.errors import UserError
from sweeps.common.records import FrontRow


class WithoutTeachersError(UserError):
    """Teachers could not be trained; the ledger has why and where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSummary:
    """What a sweep came to.

    Attributes:
        name: Name of the sweep.
        folder: Its folder.
        tracking_uri: Where MLflow keeps its runs.
        complete: Trials with all objectives.
        pruned: Trials that were stopped early.
        epochs_saved: Epochs that these did not train.
        failed: Trials that failed, without repeated suggestions.
        jobs_failed: Teachers, baselines and confirmations that failed.
        confirmations: Confirmations that succeeded.
        front: The front, best first objective first.
        hypervolume: Its hypervolume, log10 of the objectives that are so scaled.
        report: The HTML report, or None if there is none.
        interrupted: True if the user stopped the sweep.
        ended: Why the search ended.
        seconds: Wall time.
        utilisation: Share of the slots' time that trials kept busy, from the moment all slots
            were warm to the last start of a trial; NaN if there were too few trials.
        unstored: What did not get into storage; empty if everything did, or there is none.
    """

    name: str
    folder: Path
    tracking_uri: str
    complete: int
    pruned: int
    epochs_saved: int
    failed: int
    jobs_failed: int
    confirmations: int
    front: Sequence[FrontRow]
    hypervolume: float
    report: Path | None
    interrupted: bool
    ended: str
    seconds: float
    utilisation: float
    unstored: str = ""
