"""The summary of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdtasks.contract.errors import UserError
from sweeps.common.records import FrontRow


class WithoutTeachersError(UserError):
    """Teachers could not be trained; the ledger has the errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSummary:
    """The summary of a sweep, with MLflow's address of its runs.

    Attributes:
        complete: Trials with all objectives.
        pruned: Trials that were stopped early.
        epochs_saved: Epochs that these did not train.
        failed: Trials that failed, without repeated suggestions.
        lost_methods: Methods of which all trials failed, and more than one.
        jobs_failed: Teachers, baselines and confirmations that failed.
        confirmations: Confirmations that succeeded.
        front: The front, best first objective first.
        hypervolume: Of the front, in log10 for objectives with a logarithmic scale.
        interrupted: True if the user stopped the sweep.
        ended: Why the search ended.
        seconds: Wall time.
        utilisation: Share of the slots' time used by trials, see `Utilisation.share`.
        unstored: Message about files that were not copied to storage; empty if there are none.
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
    lost_methods: Sequence[str] = ()
