"""Early stopping through Ray Tune: what its scheduler does with trials that fall behind."""

from pathlib import Path

import pytest
from toy_study import toy_study

from analysis import layout
from analysis.frames import read_sweep
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.progress.listener import SilentDisplay
from sweeps.run.runner import run_study
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]


def test_p3_trials_are_stopped_over_several_objectives_and_every_record_shows_it(
    tmp_path: Path,
) -> None:
    """Optuna does not prune over several objectives; under Tune half-trained values are results."""
    study = toy_study(
        parameters={"epochs": 8, "epoch_s": 0.05},
        search={"sampler": "tpe"},
        stopping={"kind": "asha", "eta": 2, "min_trials": 2},
        constraints=[{"metric": "ue_flops", "max": 7000}],
        budget={"trials": 20},
        confirm={"select": "front", "limit": 1},
        resources={"cpus": 0.5, "slots": 2},
    )
    summary = run_study(
        study,
        name="toy",
        home=tmp_path,
        tracking_uri=None,
        request=ResourceRequest(),
        display=SilentDisplay(),
    )
    trials = [t for t in Ledger.open(summary.folder / "journal.log").trials() if not t.duplicate]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert summary.complete + summary.pruned == len(trials) == 20
    assert (summary.failed, summary.pruned) == (0, len(pruned))
    assert summary.complete > 0
    assert any(trial.rungs for trial in pruned)
    for trial in pruned:
        epoch, epochs = trial.trained
        assert (epoch in (1, 2, 4) and epochs == 8) or not trial.feasible
    assert verify_sweep(summary.folder) == []
    frames = read_sweep(summary.tracking_uri, "toy")
    shown = frames.trials.set_index("number")
    assert list(shown["state"]) == [trial.state.value for trial in trials]
    assert not shown.loc[[trial.number for trial in pruned], "front"].any()
    assert len(frames.hypervolume) == summary.complete
    saved = sum(trial.trained[1] - trial.trained[0] for trial in pruned)
    assert (frames.environment["slots"], frames.environment["cores_per_process"]) == (2, 0.5)
    assert frames.metrics["epochs_saved"] == summary.epochs_saved == saved > 0
    page = (summary.folder / layout.REPORT_DIR / layout.REPORT_FILE).read_text(encoding="utf-8")
    assert f"{len(pruned)} stopped early ({saved} epochs saved)" in page
