"""What breaks today where Ray Tune, Optuna and MLflow are put together, and does not break here.

P3 is in test_schedule.py, P4 in test_resume.py, P6 and the price of a run (P5) in
test_field_databases.py, the rest of P7, P8 and P10 in test_field_limits.py.
"""

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from toy_study import toy_study

from analysis import layout
from analysis.frames import SweepFrames
from analysis.front_rows import front_rows
from kdtasks.contract.params import fingerprint
from search_spaces.errors import StudyError
from sweeps.common.capacity import ResourceRequest
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.plan.preflight import check_study
from sweeps.progress.events import Display
from sweeps.run.runner import SweepSummary, run_study
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

TRIALS, SLOTS = 16, 4
CALLS = ("create_run", "log_batch", "log_metric", "log_param", "set_tag", "update_run_info")


@dataclass
class Watched:
    """A finished sweep, and what was asked of MLflow's database by the process that drove it."""

    summary: SweepSummary
    calls: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(SweepFolder(self.summary.folder).journal)

    def runs(self, kind: str) -> set[str]:
        """Return MLflow's numbers of all runs of a kind."""
        client = MlflowClient(tracking_uri=self.summary.tracking_uri)
        query = f"tags.`{layout.ROLE}` = '{kind}'"
        [experiment] = [e for e in client.search_experiments() if e.name == "toy"]
        return {run.info.run_id for run in client.search_runs([experiment.experiment_id], query)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Sixteen trials of a second each, four at once on a core, over two objectives."""
    # here, for the import warns of what the marks above let pass
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    calls: list[tuple[str, str]] = []

    def counted(name: str) -> Any:
        original = getattr(SqlAlchemyStore, name)

        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            result = original(self, *arguments, **named)
            run = result.info.run_id if name == "create_run" else named.get("run_id")
            calls.append((name, run or str(arguments[0])))
            return result

        return call

    study = toy_study(
        parameters={"epochs": 1, "epoch_s": 1.0},
        resources={"cpus": 0.25, "slots": SLOTS},
        search={"sampler": "tpe"},
        budget={"trials": TRIALS},
        seeds={"confirm": [101, 102, 103]},
        confirm={"select": "front", "limit": 2},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(SqlAlchemyStore, name, counted(name))
        summary = run_study(
            study,
            name="toy",
            home=tmp_path_factory.mktemp("home"),
            tracking_uri=None,
            request=ResourceRequest(transport="inprocess"),
            display=Display(),
        )
    return Watched(summary, calls)


@pytest.fixture(scope="module")
def frames(sweep: Watched) -> SweepFrames:
    return sweep_frames(sweep.summary.folder)


def test_p1_a_custom_searcher_does_not_make_trials_run_one_by_one(sweep: Watched) -> None:
    """Unless told otherwise, Tune lets one trial wait at a time: 8 slots were used to 11 %."""
    assert sweep.summary.complete == TRIALS
    assert sweep.summary.utilisation >= 0.7  # one by one would be 0.25
    spans = [(t.started_ms, t.ended_ms) for t in sweep.ledger.trials() if not t.duplicate]
    at_once = [sum(begun <= start < ended for begun, ended in spans) for start, _ in spans]
    assert max(at_once) == SLOTS


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def test_p2_a_set_of_compromises_comes_out_and_objectives_are_declared_once(
    sweep: Watched, frames: SweepFrames
) -> None:
    """Tune's result knows one best trial, and a metric set beside the search drops the others."""
    front = {tuple(row.objectives.values()) for row in sweep.summary.front}
    assert len(front) >= 2
    finished = [trial.metrics for trial in sweep.ledger.trials() if trial.metrics]
    every = {(metrics["val_nmse_db"], metrics["ue_flops"]) for metrics in finished}
    assert front == {mine for mine in every if not any(beats(other, mine) for other in every)}
    numbers = [row.number for row in sweep.summary.front]
    assert [row["trial"] for row in front_rows(frames)] == numbers
    assert [d.name for d in sweep.ledger._study.directions] == ["MINIMIZE", "MINIMIZE"]
    # there is one place for an objective's direction and unit, and the task must agree
    wrong = toy_study().objectives[0]
    fields = {"metric": wrong.metric, "unit": wrong.unit, "reference": 0.0}
    with pytest.raises(StudyError, match="direction: is 'maximize'"):
        check_study(toy_study(objectives=[{**fields, "direction": "maximize"}]))


def test_p5_every_run_has_its_parent_and_is_written_in_one_batch_by_the_driver(
    sweep: Watched,
) -> None:
    """The stock callback logs one call per number, in flat runs: 0.9 s per run of 40 numbers."""
    assert not [name for name, _ in sweep.calls if name in ("log_metric", "log_param", "set_tag")]
    counts = Counter(sweep.calls)
    trials = sweep.runs(layout.ROLE_TRIAL)
    assert len(trials) == TRIALS
    for run in trials:
        assert counts["create_run", run] == 1
        assert counts["log_batch", run] <= 2  # its numbers; at the end, where it stands
        assert counts["update_run_info", run] == 1
    # all that is in the database went through the process that drove the sweep
    with closing(sqlite3.connect(sweep.summary.folder / layout.MLFLOW_FILE)) as database:
        there = {row[0] for row in database.execute("SELECT run_uuid FROM runs")}
        parents = database.execute(
            "SELECT run_uuid FROM runs EXCEPT SELECT run_uuid FROM tags WHERE key = ?",
            ("mlflow.parentRunId",),
        ).fetchall()
    assert there == {run for name, run in sweep.calls if name == "create_run"}
    assert len(parents) == 1
    # and it is right
    assert verify_sweep(sweep.summary.folder) == []


def test_p8_a_trial_leaves_its_students_weights_and_no_other_file(sweep: Watched) -> None:
    """Tune leaves five files per trial: 1,505 after 300 trials."""
    folder = sweep.summary.folder
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    weights = [path for path in files if path.parts[0] == "weights"]
    assert len(weights) == TRIALS
    assert not (folder / ".tune").exists()
    named = {f"trial-{trial.number}.safetensors" for trial in sweep.ledger.trials()}
    assert {path.name for path in weights} <= named
    assert len(files) - len(weights) < 30  # as many after a thousand trials


def clone_runs(database: sqlite3.Connection, run: str, copies: int) -> None:
    """Copy a run that is not on the front, with its tags and numbers."""
    for table in ("runs", "tags", "params", "latest_metrics"):
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        chosen = ", ".join("? AS run_uuid" if c == "run_uuid" else c for c in columns)
        for copy in range(copies):
            values = (f"{copy:032x}", run)
            copied = f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE run_uuid = ?"  # noqa: S608 - names of MLflow's
            database.execute(copied, values)
    database.commit()


def test_p9_a_view_finds_the_front_alone_among_a_thousand_runs(
    sweep: Watched, tmp_path: Path
) -> None:
    """MLflow has no front, charts the first 100 runs and draws no more than 500."""
    folder = SweepFolder(shutil.copytree(sweep.summary.folder, tmp_path / "toy"))
    front = {row.number for row in sweep.summary.front}
    client = MlflowClient(tracking_uri=folder.tracking_uri)
    [experiment] = [e for e in client.search_experiments() if e.name == "toy"]
    views = dict(json.loads((folder.path / layout.VIEWS_FILE).read_text()))
    key = views["the front"].partition("viewStateShareKey=")[2]
    state = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
    behind = f"tags.`{layout.ON_FRONT}` = 'false'"
    [other, *_] = client.search_runs([experiment.experiment_id], behind, max_results=1)
    with closing(sqlite3.connect(folder.path / layout.MLFLOW_FILE)) as database:
        clone_runs(database, other.info.run_id, 1000)
    query = state["searchFilter"]
    found = client.search_runs([experiment.experiment_id], query, max_results=1000)
    assert {int(run.data.tags[layout.TRIAL_NUMBER]) for run in found} == front
    everything = client.search_runs([experiment.experiment_id], max_results=5000)
    assert len(everything) > 1000 + TRIALS


def test_p10_fronts_are_repeated_with_seeds_beside_baselines_and_searched_on_validation(
    sweep: Watched, frames: SweepFrames
) -> None:
    """Published KD settings are guessed, from one seed, tuned on the test split, and run twice."""
    trials = sweep.ledger.trials()
    configs = [fingerprint(trial.config) for trial in trials if not trial.duplicate]
    assert len(configs) == len(set(configs)) == TRIALS
    # no number of a trial was made on the test split; repetitions have one per seed
    assert not [name for trial in trials for name in trial.metrics if name.startswith("test_")]
    repeated = [row["test"]["test_nmse_db"] for row in front_rows(frames) if row.get("test")]
    assert repeated
    assert all(entry["seeds"] == 3 and entry["half_width"] > 0.0 for entry in repeated)
    # the teacher and a baseline without learning stand beside them, on test
    assert frames.baselines["test_nmse_db"].notna().all()
    assert len(frames.baselines) >= 1
    assert frames.teachers["test_nmse_db"].notna().all()
