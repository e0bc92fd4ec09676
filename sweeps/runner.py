"""Run a study from its file to its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.display import Display, FrontRow

if TYPE_CHECKING:
    from search_spaces.study import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSummary:
    """What a sweep came to.

    Attributes:
        name: Name of the sweep.
        folder: Its folder.
        tracking_uri: Where MLflow keeps its runs.
        complete: Trials with all objectives.
        pruned: Trials that were stopped early.
        failed: Trials that failed, without repeated suggestions.
        confirmations: Confirmations that succeeded.
        front: The front, best first objective first.
        hypervolume: Its hypervolume, log10 of the objectives that are so scaled.
        report: The HTML report, or None if there is none.
        interrupted: True if the user stopped the sweep.
        seconds: Wall time.
        utilisation: Share of the slots' time that trials kept busy, from the moment all slots
            were warm to the last start of a trial; NaN if there were too few trials.
    """

    name: str
    folder: Path
    tracking_uri: str
    complete: int
    pruned: int
    failed: int
    confirmations: int
    front: Sequence[FrontRow]
    hypervolume: float
    report: Path | None
    interrupted: bool
    seconds: float
    utilisation: float


def run_study(
    study: "Study",
    *,
    name: str,
    home: Path,
    tracking_uri: str | None,
    slots: int | None,
    display: Display,
) -> SweepSummary:
    """Run ``study`` as the sweep ``name`` and return what came of it.

    Args:
        study: What to run.
        name: Name of the sweep; its folder ``home/name`` must not exist yet.
        home: Folder of all sweeps and of the cache.
        tracking_uri: Where MLflow keeps the runs; None for a database in the sweep's folder.
        slots: Trials that run at once, one core each; None for one per core.
        display: Watches.

    Raises:
        UserError: Before anything is started, if the study cannot run as it is.
    """
    raise NotImplementedError
