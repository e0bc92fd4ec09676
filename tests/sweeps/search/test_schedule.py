"""Early stopping through Ray Tune: what becomes of trials that fall behind, and of all that end."""

import gc
from pathlib import Path

import pytest
from ray.tune.experiment import Trial
from toy_study import toy_study

from analysis import layout
from analysis.plots.progress import progress_series
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.progress.events import Display, SweepEvent, TrialFinished
from sweeps.run.runner import run_study
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]


SLOTS, FLAWS = 2, ["raise", "die"]


class Census(Display):
    """Counts Tune's trials that are in memory whenever one of ours has finished."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def handle(self, event: SweepEvent) -> None:
        if isinstance(event, TrialFinished):
            gc.collect()
            self.counts.append(trials_in_memory())


def trials_in_memory() -> int:
    return sum(type(thing) is Trial for thing in gc.get_objects())


def test_p3_p8_trials_are_stopped_over_several_objectives_recorded_everywhere_and_forgotten(
    tmp_path: Path,
) -> None:
    """Optuna does not prune over several objectives; under Tune half-trained values are results.

    The driver of Tune keeps every trial with all its results (ray issue 64231).
    """
    gc.collect()
    before, census = trials_in_memory(), Census()
    study = toy_study(
        parameters={"epochs": 8, "epoch_s": 0.05},
        search={"sampler": "tpe", "points": [{"method": "kd", "flaw": FLAWS}]},
        stopping={"kind": "asha", "eta": 2, "min_trials": 2},
        constraints=[{"metric": "ue_flops", "max": 7000}],
        budget={"trials": 20},
        confirm={"select": "none"},
        resources={"cpus": 0.5, "slots": SLOTS},
    )
    summary = run_study(
        study,
        name="toy",
        home=tmp_path,
        tracking_uri=None,
        request=ResourceRequest(transport="inprocess"),
        display=census,
    )
    trials = [t for t in Ledger.open(summary.folder / "journal.log").trials() if not t.duplicate]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert summary.complete + summary.pruned + summary.failed == len(trials) == 20
    flawed = {trial.config["flaw"]: trial.state for trial in trials if trial.number < len(FLAWS)}
    assert flawed.keys() == set(FLAWS)
    assert flawed["die"] is TrialState.FAIL
    # the others train first; on a busy machine one may fall behind and be stopped before it fails
    assert set(flawed.values()) <= {TrialState.FAIL, TrialState.PRUNED}
    failed = [*flawed.values()].count(TrialState.FAIL)
    assert (summary.failed, summary.pruned) == (failed, len(pruned))
    assert len(census.counts) == summary.complete > 0
    # those that run, those that wait for a slot, and one that ended in this turn
    assert max(census.counts) - before <= 2 * SLOTS + 1
    assert any(trial.rungs for trial in pruned)
    for trial in pruned:
        epoch, epochs = trial.trained
        assert (epoch in (1, 2, 4) and epochs == 8) or not trial.feasible
    assert verify_sweep(summary.folder) == []
    frames = sweep_frames(summary.folder)
    shown = frames.trials.set_index("number")
    assert list(shown["state"]) == [trial.state.value for trial in trials]
    assert not shown.loc[[trial.number for trial in pruned], "front"].any()
    assert len(progress_series(frames)) == summary.complete
    saved = sum(trial.trained[1] - trial.trained[0] for trial in pruned)
    assert (frames.environment["slots"], frames.environment["cores_per_process"]) == (2, 0.5)
    assert frames.metrics["epochs_saved"] == summary.epochs_saved == saved > 0
    page = (summary.folder / layout.REPORT_DIR / layout.REPORT_FILE).read_text(encoding="utf-8")
    assert f"{len(pruned)} stopped early ({saved} epochs saved)" in page
