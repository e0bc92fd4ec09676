"""The disk is full in the middle of a search: what is finished stays, and it goes on later."""

import errno
import os
from pathlib import Path

import pytest
from toy_study import toy_study

from kdtasks.contract.errors import UserError
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.progress.events import Display, SweepEvent, TrialFinished
from sweeps.run.runner import resume_sweep, run_study
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]


class FullAfterThird(Display):
    """Fills the disk as soon as three trials are finished."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.finished = 0
        self._monkeypatch = monkeypatch

    def handle(self, event: SweepEvent) -> None:
        self.finished += isinstance(event, TrialFinished)
        if self.finished == 3:
            self._monkeypatch.setattr(os, "fsync", self._refuse)

    def _refuse(self, _number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_a_sweep_that_goes_on_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        monkeypatch.context() as disk,
        pytest.raises(UserError, match=r"journal\.log cannot be written to: No space left"),
    ):
        run_study(
            toy_study(budget={"trials": 6}),
            name="toy",
            home=tmp_path,
            tracking_uri=None,
            request=ResourceRequest(slots=1),
            display=FullAfterThird(disk),
        )
    before = Ledger.open(tmp_path / "toy" / "journal.log").trials()
    finished = [trial for trial in before if trial.state is TrialState.COMPLETE]
    assert len(finished) == 3
    summary = resume_sweep(
        "toy",
        home=tmp_path,
        tracking_uri=None,
        request=ResourceRequest(backend="inline"),
        display=Display(),
    )
    assert (summary.complete, summary.failed) == (6, 0)
    after = Ledger.open(summary.folder / "journal.log").trials()
    assert all(after[trial.number] == trial for trial in finished)
    assert verify_sweep(summary.folder) == []
