"""The results of a sweep as tables; from its file, if that is as new as its ledger."""

from pathlib import Path

from analysis import layout
from analysis.frames import SweepFrames, frames_of
from analysis.results_file import read_runs


def sweep_frames(folder: Path) -> SweepFrames:
    """Return the results of a sweep.

    Raises:
        DataError: If its ledger is missing or damaged.
        ResultsError: If its content is not what kdsweep writes.
    """
    ledger = folder / layout.JOURNAL_FILE
    size = ledger.stat().st_size if ledger.is_file() else -1
    runs = read_runs(folder / layout.RESULTS_FILE, size)
    if runs is None:
        from sweeps.ledger.ledger import Ledger
        from sweeps.ledger.paths import SweepFolder
        from sweeps.tracking.results import recorded_runs

        runs = recorded_runs(SweepFolder(folder), Ledger.open(ledger))
    return frames_of(folder.name, runs)
