"""A whole sweep on Ray, and what `verify` says of it before and after it is tampered with."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from toy_study import toy_study
from toy_task import ToyTask

from analysis import layout
from analysis.plots.progress import progress_series
from kdtasks.contract.errors import ConfigError, DataError
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.mirror.storage_lock import DRIVER_FILE
from sweeps.progress.events import Display
from sweeps.run.runner import SweepSummary, run_study
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.verify import verify_sweep

# Importing Ray and starting it takes most of these tests' time, and more on a busy machine.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(150),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

FLAWS = ["raise", "nan", "die"]


def sweep_study(**changes: object) -> object:
    points = [
        {"method": "kd", "width": 2, "x": 0.5, "flaw": FLAWS},
        {"method": "vanilla", "width": 2, "x": 0.5, "teacher_seed": [1, 2]},
        {"method": "vanilla", "width": 8, "x": 0.3, "compression": 1},
    ]
    fields = {
        "search": {"sampler": "tpe", "points": points},
        "constraints": [{"metric": "payload_bits", "max": 2048}],
        "budget": {"trials": 10},
        "confirm": {"select": "front", "limit": 2},
    }
    return toy_study(**{**fields, **changes})


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepSummary:
    home = tmp_path_factory.mktemp("home")
    return run_study(
        sweep_study(),
        name="toy",
        home=home,
        tracking_uri=None,
        request=ResourceRequest(slots=2, transport="inprocess"),
        display=Display(),
        storage=f"file://{home}/stored",
    )


def test_a_sweep_runs_to_its_report(sweep: SweepSummary) -> None:
    assert (sweep.complete, sweep.pruned, sweep.failed) == (7, 0, 3)
    assert sweep.confirmations == 2
    assert not sweep.interrupted
    assert sweep.report is not None
    assert sweep.report.is_file()
    reasons = [trial.reason for trial in Ledger.open(sweep.folder / "journal.log").trials()][:3]
    for reason, words in zip(reasons, ["not a number", "is nan", "process died"], strict=True):
        assert words in reason
    weights = {path.stem for path in (sweep.folder / "weights").iterdir()}
    trials = Ledger.open(sweep.folder / "journal.log").trials()
    complete = [trial.number for trial in trials if trial.state is TrialState.COMPLETE]
    assert {f"trial-{number}" for number in complete} <= weights
    assert not (sweep.folder / ".tune").exists()


def test_its_copy_in_storage_is_whole(sweep: SweepSummary) -> None:
    stored = sweep.folder.parent / "stored" / "toy"
    for name in ("journal.log", "study.yaml", "report/report.html", "report/front.json"):
        assert (stored / name).read_bytes() == (sweep.folder / name).read_bytes()
    weights = [sorted(path.name for path in (at / "weights").iterdir())
               for at in (stored, sweep.folder)]  # fmt: skip
    assert weights[0] == weights[1]
    assert not (stored / DRIVER_FILE).exists()


def test_ledger_mlflow_and_front_agree(sweep: SweepSummary) -> None:
    assert verify_sweep(sweep.folder) == []


def test_what_is_read_back_is_what_ran(sweep: SweepSummary) -> None:
    frames = sweep_frames(sweep.folder)
    trials = [t for t in Ledger.open(sweep.folder / "journal.log").trials() if not t.duplicate]
    assert len(frames.trials) == len(trials) == 10
    found = frames.trials.set_index("number")
    for trial in trials:
        for name, value in trial.config.items():
            assert found.loc[trial.number, f"param.{name}"] == value
    front = {row.number for row in sweep.front}
    assert set(found.index[found["front"] == True]) == front  # noqa: E712 - a column of objects
    assert found.loc[5, "front"] is False  # infeasible: 4096 bits
    assert found.loc[5, "rank"] is None
    assert len(frames.teachers) == 1
    assert len(frames.confirmations) == 2
    assert {"test_nmse_db", "val_nmse_db"} <= set(frames.teachers.columns)
    assert set(frames.baselines["name"]) == {"PCA 1/4", "PCA 1/1"}
    assert [step for step, _ in progress_series(frames)] == list(range(1, 8))
    assert frames.provenance
    assert frames.environment["slots"] == 2


def test_a_taken_name_is_refused_before_anything_starts(sweep: SweepSummary) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        run_study(
            sweep_study(),
            name="toy",
            home=sweep.folder.parent,
            tracking_uri=None,
            request=ResourceRequest(slots=1),
            display=Display(),
        )


def front_of(folder: Path) -> int:
    return int(json.loads((folder / "report" / "front.json").read_text())["front"][0]["trial"])


def on_database(statement: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        number = str(front_of(folder))
        with closing(sqlite3.connect(folder / "mlflow.db")) as database:
            run = database.execute(
                "SELECT run_uuid FROM tags WHERE key = ? AND value = ?",
                (layout.CHILD_KEY, f"trial/{number}"),
            ).fetchone()[0]
            assert database.execute(statement, {"run": run}).rowcount > 0
            database.commit()

    return tamper


def on_front(change: Callable[[list[dict[str, object]]], object]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        path = folder / "report" / "front.json"
        content = json.loads(path.read_text())
        change(content["front"])
        path.write_text(json.dumps(content))

    return tamper


PLANTED = {
    "tampered metric": (
        on_database(
            "UPDATE latest_metrics SET value = value + 1e-6 "
            "WHERE run_uuid = :run AND key = 'val_nmse_db'"
        ),
        "metric val_nmse_db",
    ),
    "tampered parameter": (
        on_database("UPDATE params SET value = '99' WHERE run_uuid = :run AND key = 'width'"),
        "parameter width: 99",
    ),
    "wrong front tag": (
        on_database(
            "UPDATE tags SET value = 'false' WHERE run_uuid = :run AND key = 'pareto.front'"
        ),
        "tag pareto.front: false in MLflow, true",
    ),
    "deleted run": (
        on_database("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = :run"),
        "missing in MLflow",
    ),
    "running run": (
        on_database("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = :run"),
        "status RUNNING",
    ),
    "unknown run": (
        on_database(
            "UPDATE tags SET value = 'trial/99' WHERE run_uuid = :run AND key = 'kdsweep.key'"
        ),
        "trial/99: 1 in MLflow, none in the ledger",
    ),
    "front without a member": (on_front(lambda rows: rows.pop()), "but not listed"),
    "front with a stranger": (
        on_front(lambda rows: rows.append({"trial": 0})),
        "trial 0 is listed, but not on the front",
    ),
    "front with a wrong number": (
        on_front(lambda rows: rows[0].update(ue_flops=1.0)),
        "ue_flops: 1.0 there",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_verify_finds_what_was_planted(sweep: SweepSummary, tmp_path: Path, name: str) -> None:
    tamper, words = PLANTED[name]
    folder = shutil.copytree(sweep.folder, tmp_path / "toy")
    tamper(folder)
    differences = verify_sweep(folder)
    assert any(words in difference for difference in differences), differences


def test_verify_finds_a_lost_report_and_an_open_sweep(sweep: SweepSummary, tmp_path: Path) -> None:
    folder = shutil.copytree(sweep.folder, tmp_path / "toy")
    (folder / "report" / "front.json").unlink()
    assert any("front.json: missing" in difference for difference in verify_sweep(folder))
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE name = 'toy'")
        database.commit()
    assert verify_sweep(folder) == ["the sweep: still RUNNING in MLflow"]


def test_verify_wants_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        verify_sweep(tmp_path / "nothing")


def test_a_sweep_without_its_data_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_scenario(self, params, *, cache_dir, progress):  # type: ignore[no-untyped-def]
        raise DataError("site.mat is truncated")

    monkeypatch.setattr(ToyTask, "load_scenario", load_scenario)
    with pytest.raises(DataError, match="truncated"):
        run_study(
            sweep_study(),
            name="toy",
            home=tmp_path,
            tracking_uri=None,
            request=ResourceRequest(slots=1),
            display=Display(),
        )
    assert not (tmp_path / "toy").exists()
