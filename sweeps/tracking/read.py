"""The results of a sweep as tables; from its file, if that repeats its ledger as it is."""

from pathlib import Path

from analysis import layout
from analysis.frames import SweepFrames, frames_of
from analysis.results_file import read_runs
from kdtasks.data.reading import file_sha256


def sweep_frames(folder: Path) -> SweepFrames:
    """Return the results of a sweep.

    Raises:
        DataError: If its ledger is missing or damaged.
        ResultsError: If its content is not what kdsweep writes.
    """
    ledger = folder / layout.JOURNAL_FILE
    digest = file_sha256(ledger) if ledger.is_file() else ""
    runs = read_runs(folder / layout.RESULTS_FILE, digest)
    if runs is None:
        from sweeps.ledger.ledger import Ledger
        from sweeps.ledger.paths import SweepFolder
        from sweeps.tracking.results import recorded_runs

        runs = list(recorded_runs(SweepFolder(folder), Ledger.open(ledger)))
    return frames_of(folder.name, runs)
