"""A sweep with poisoned edges that is stopped comes to what it would have come to."""

import os
import signal
from pathlib import Path

import pytest
from network_deployments import POISONED, numbers
from toy_study import network_study

from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialRecord
from sweeps.ledger.ledger import Ledger
from sweeps.progress.events import Display, SweepEvent, TrialReported
from sweeps.run.runner import SweepSummary, resume_sweep, run_study
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

POINTS = [*POISONED.values()]


class Stopping(Display):
    """Interrupts the sweep in the middle of its second trial."""

    def handle(self, event: SweepEvent) -> None:
        if isinstance(event, TrialReported) and event.trial == 1:
            os.kill(os.getpid(), signal.SIGINT)


def run(home: Path, display: Display) -> SweepSummary:
    request = ResourceRequest(backend="inline")
    return run_study(
        network_study(POINTS),
        name="poisoned",
        home=home,
        tracking_uri=None,
        request=request,
        display=display,
    )


def trials(folder: Path) -> list[TrialRecord]:
    return Ledger.open(folder / "journal.log").trials()


def test_a_stopped_sweep_resumes_to_the_numbers_of_an_unbroken_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", Display()).folder
    stopped = run(tmp_path / "broken", Stopping())
    assert stopped.interrupted
    broken = stopped.folder
    assert [trial.interrupted for trial in trials(broken)] == [False, True]
    resume_sweep(
        "poisoned", home=tmp_path / "broken", tracking_uri=None, request=None, display=Display()
    )
    ended = [trial for trial in trials(broken) if not trial.interrupted]
    assert len(ended) == len(POINTS)
    for ours, theirs in zip(ended, trials(whole), strict=True):
        assert ours.config == theirs.config
        assert numbers(ours.metrics) == numbers(theirs.metrics)
        files = (f"weights/trial-{each.number}.safetensors" for each in (ours, theirs))
        resumed, unbroken = (p / f for p, f in zip((broken, whole), files, strict=True))
        assert resumed.read_bytes() == unbroken.read_bytes()
    jobs = [Ledger.open(folder / "journal.log").jobs() for folder in (broken, whole)]
    repeated = [[numbers(job.metrics) for job in found if job.trial is not None] for found in jobs]
    assert repeated[0] == repeated[1]
    assert repeated[0]
    assert verify_sweep(broken) == []
