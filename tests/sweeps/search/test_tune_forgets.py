"""Ray Tune's driver lets go of trials that have ended, whatever their end."""

import gc
from collections.abc import Mapping
from pathlib import Path

import pytest
from ray.tune.experiment import Trial
from toy_study import toy_study

from sweeps.common.capacity import ResourceRequest
from sweeps.progress.listener import SilentDisplay
from sweeps.run.runner import run_study
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

TRIALS, SLOTS = 15, 2


class Census(SilentDisplay):
    """Counts Tune's trials that are in memory whenever one of ours has finished."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None:
        gc.collect()
        self.counts.append(sum(type(thing) is Trial for thing in gc.get_objects()))


def test_p8_tune_keeps_no_trial_that_has_ended(tmp_path: Path) -> None:
    """The driver of Tune keeps every trial with all its results (ray issue 64231)."""
    gc.collect()
    before = sum(type(thing) is Trial for thing in gc.get_objects())
    points = [{"method": "kd", "flaw": ["raise", "nan", "die"]}]
    study = toy_study(
        search={"sampler": "random", "points": points},
        stopping={"kind": "asha", "min_share": 0.5, "eta": 2, "min_trials": 5},
        budget={"trials": TRIALS},
        confirm={"select": "none"},
    )
    census = Census()
    summary = run_study(
        study,
        name="toy",
        home=tmp_path,
        tracking_uri=None,
        request=ResourceRequest(slots=SLOTS, transport="inprocess"),
        display=census,
    )
    assert summary.complete + summary.pruned + summary.failed == TRIALS
    assert min(summary.complete, summary.pruned, summary.failed) > 0
    assert len(census.counts) == summary.complete
    # those that run, those that wait for a slot, and one that ended in this turn
    assert max(census.counts) - before <= 2 * SLOTS + 1
    assert verify_sweep(summary.folder) == []
