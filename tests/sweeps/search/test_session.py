from pathlib import Path

import pytest
from in_process import Engine, Watching
from toy_study import toy_study
from toy_task import ToyTask

from analysis import layout
from kdtasks.contract.errors import DataError, UserError
from sweeps.common.records import TrialState
from sweeps.ledger.front import pareto_state
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.teacher_cache import OUTPUTS
from sweeps.progress.state import Utilisation
from sweeps.run.phases import closing_trials

FLAWS = {
    "raise": "RuntimeError: the loss is not a number",
    "nan": "val_nmse_db is nan",
    "inf": "val_nmse_db is inf",
    "missing": "val_nmse_db is missing from the trial's metrics",
    "minus-flops": "ue_flops is -1.0, which its logarithmic scale cannot show",
}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    points = [{"method": "kd", "width": 2, "x": 0.5, "flaw": list(FLAWS)}]
    study = toy_study(
        search={"sampler": "tpe", "points": points},
        budget={"trials": 12},
        constraints=[{"metric": "payload_bits", "max": 2048}],
        seeds={"confirm": [101, 102]},
    )
    engine = Engine(study, tmp_path)
    engine.teach()
    return engine


def test_flawed_trials_fail_with_their_reason_and_the_search_goes_on(engine: Engine) -> None:
    engine.search()
    trials = engine.ledger.trials()
    failed = {t.config["flaw"]: t.reason.partition(" (toy_task.py, line ")[0] for t in trials[:5]}
    assert failed == FLAWS
    states = [trial.state for trial in trials]
    assert states == [TrialState.FAIL] * 5 + [TrialState.COMPLETE] * 7
    assert "RuntimeError" in trials[0].traceback
    assert "train_student" in trials[0].traceback


def test_a_trial_whose_process_died_fails(engine: Engine) -> None:
    session = engine.session()
    assert session.assign("a") is not None
    session.started("a")
    session.finished("a", None)
    assert engine.ledger.trial(0).state is TrialState.FAIL
    assert "process died" in engine.ledger.trial(0).reason


def test_abandoned_trials_are_closed_as_interrupted(engine: Engine) -> None:
    session = engine.session()
    assert session.assign("a") is not None
    session.started("a")
    assert session.assign("b") is not None  # still waits for its slot
    engine.clock.now_s += 10.0
    session.abandon("interrupted by the user")
    assert [trial.state for trial in engine.ledger.trials()] == [TrialState.FAIL] * 2
    assert {child.status for key, child in engine.tracker.children.items() if "trial" in key} == {
        "KILLED"
    }
    assert engine.ledger.running == ()
    engine.clock.now_s += 90.0  # nobody works any more
    assert session.utilisation.whole() == 1.0


@pytest.mark.parametrize(
    ("ended_by", "reason"),
    [
        (KeyboardInterrupt(), "interrupted by the user"),
        (
            ValueError("no such key"),
            "interrupted by an error of the sweep itself: ValueError: no such key",
        ),
    ],
)
@pytest.mark.parametrize("noted", [False, True])
def test_open_trials_name_what_ended_the_search(
    engine: Engine, ended_by: BaseException, reason: str, noted: bool
) -> None:
    session = engine.session()
    assert session.assign("a") is not None
    session.started("a")

    def search() -> None:
        if noted and isinstance(ended_by, Exception):
            session.fault = ended_by  # which is raised once Tune has ended
        else:
            raise ended_by

    with pytest.raises(type(ended_by)), closing_trials(session):
        search()
    [trial] = engine.ledger.trials()
    assert (trial.reason, trial.interrupted) == (reason, True)


def test_the_hypervolume_never_falls_and_ends_at_that_of_the_front(engine: Engine) -> None:
    session = engine.search()
    steps, values = zip(*engine.tracker.series, strict=True)
    assert steps == (1, 2, 3, 4, 5, 6, 7)
    assert list(values) == sorted(values)
    assert values[-1] == session.pareto_state.hypervolume > 0.0


def test_ledger_records_survive_their_writer(engine: Engine) -> None:
    engine.search()
    engine.confirm()
    again = Ledger.open(engine.folder.journal)
    assert again.trials() == engine.ledger.trials()
    assert again.jobs() == engine.ledger.jobs()
    assert again.study == engine.study


@pytest.mark.parametrize("content", ["", "not json\n", '{"op_code": 99}\n'])
def test_a_damaged_ledger_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "journal.log"
    path.write_text(content)
    with pytest.raises(DataError, match=r"journal\.log"):
        Ledger.open(path)


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"journal.log does not exist"):
        Ledger.open(tmp_path / "journal.log")


def test_mlflow_out_of_reach_loses_nothing(engine: Engine) -> None:
    engine.tracker.broken = True
    engine.search()
    with pytest.raises(UserError, match="in the sweep's folder"):
        engine.recorder.settle(Utilisation(1, engine.clock))
    engine.tracker.broken = False
    engine.recorder.settle(Utilisation(1, engine.clock))
    trials = [key for key in engine.tracker.children if key.startswith("trial/")]
    assert len(trials) == 12
    assert engine.tracker.metrics["trials_failed"] == 5


def test_confirmation_repeats_the_front_and_measures_references(engine: Engine) -> None:
    session = engine.search()
    assert engine.confirm() == 0
    jobs = {job.key: job for job in engine.ledger.jobs()}
    for row in session.pareto_state.rows:
        for seed in (101, 102):
            job = jobs[f"confirmation/{row.number}/{seed}"]
            assert job.params == {**engine.ledger.trial(row.number).config, "seed": seed}
            assert job.metrics["test_nmse_db"] == pytest.approx(job.metrics["val_nmse_db"] + 0.5)
    [teacher] = [job for job in jobs.values() if job.kind == "teacher"]
    assert teacher.metrics["test_nmse_db"] - teacher.metrics["val_nmse_db"] == pytest.approx(0.5)
    assert jobs["baseline/PCA 1/4"].metrics["test_nmse_db"] == pytest.approx(-2.5)


def test_own_weights_are_evaluated_without_training(tmp_path: Path) -> None:
    study = toy_study(confirm={"select": "all", "retrain": False}, budget={"trials": 3})
    engine = Engine(study, tmp_path)
    engine.teach()
    engine.search()
    assert engine.confirm() == 0
    jobs = {job.trial: job for job in engine.ledger.jobs() if job.kind == "confirmation"}
    for trial in engine.ledger.trials():
        assert jobs[trial.number].key == f"confirmation/{trial.number}/0"
        test = jobs[trial.number].metrics["test_nmse_db"]
        assert test == pytest.approx(trial.metrics["val_nmse_db"] + 0.5)


def test_a_confirmation_that_fails_is_recorded_and_the_others_go_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = engine.search()
    unlucky = engine.ledger.trial(session.pareto_state.rows[0].number).config["width"]
    honest = ToyTask.evaluate

    def evaluate(self, params, weights, split):  # type: ignore[no-untyped-def]
        if params["width"] == unlucky and params["seed"] == 101:
            raise ValueError("out of luck")
        return honest(self, params, weights, split)

    monkeypatch.setattr(ToyTask, "evaluate", evaluate)
    failures = engine.confirm()
    jobs = [job for job in engine.ledger.jobs() if job.kind == "confirmation"]
    failed = [job for job in jobs if job.reason]
    assert failures == len(failed) >= 1
    assert {job.reason.partition(", line ")[0] for job in failed} == {
        "ValueError: out of luck (test_session.py"
    }
    assert all("out of luck" in job.traceback for job in failed)
    assert len(jobs) == 2 * len(session.pareto_state.rows)
    child = engine.tracker.children[failed[0].key]
    assert (child.status, child.tags[layout.STATE]) == ("FAILED", "FAIL")


def test_a_teacher_is_trained_once_and_its_damage_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Engine(toy_study(), tmp_path / "a").teach()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "cache").rename(tmp_path / "b" / "cache")
    monkeypatch.setattr(ToyTask, "train_teacher", None)  # calling it would fail
    second = Engine(toy_study(), tmp_path / "b")
    second.teach()
    [path] = second.folder.teachers.glob(f"*/{OUTPUTS}")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=OUTPUTS):
        second.teach()


def test_without_its_teacher_a_sweep_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_teacher(self, params, train, val):  # type: ignore[no-untyped-def]
        raise MemoryError("too large")
        yield

    monkeypatch.setattr(ToyTask, "train_teacher", train_teacher)
    with pytest.raises(UserError, match="MemoryError: too large"):
        Engine(toy_study(), tmp_path).teach()


def test_trials_cannot_reach_the_test_split(engine: Engine) -> None:
    from sweeps.workers.trainable import Shared

    assert set(Shared.__dataclass_fields__) == {
        "task",
        "splits",
        "teachers",
        "allocation",
        "rungs",
    }
    scenario = next(iter(engine.resources.scenarios.values()))
    assert (len(scenario.train["noise"]), len(scenario.val["noise"])) == (64, 8)


def test_an_objective_that_is_zero_on_a_log_scale_is_a_result(tmp_path: Path) -> None:
    rows = ((1, "none"), (2, "zero-flops"))
    points = [{"method": "kd", "x": 0.5, "width": width, "flaw": flaw} for width, flaw in rows]
    display = Watching()
    study = toy_study(search={"sampler": "points", "points": points}, budget={})
    engine = Engine(study, tmp_path, display)
    engine.teach()
    session = engine.search()
    assert {trial.state for trial in engine.ledger.trials()} == {TrialState.COMPLETE}
    assert [row.number for row in session.pareto_state.rows] == [1]
    assert pareto_state(engine.ledger.trials(), study).ranks == {0: 1, 1: 0}
    # the better one reaches six decades below the reference
    (error,) = (t.metrics["val_nmse_db"] for t in engine.ledger.trials() if t.number == 1)
    assert session.pareto_state.hypervolume == pytest.approx(-error * 6.0)
    (note,) = display.notes
    for word in ("ue_flops", "trial 1", "0.01", "logarithmic"):
        assert word in note
