"""A front in MLflow's model registry: versions, aliases, files, and numbers in all records."""

from pathlib import Path

import numpy as np
import pytest
from deployed_toy import TWO_PARTS, TWO_STUDENTS
from in_process import Engine
from toy_study import toy_study

from analysis import layout
from analysis.frames import SweepFrames
from sweeps.cli.export import EXPORT_DIR, run_export
from sweeps.export.export import Exporter
from sweeps.export.records import recording
from sweeps.export.registration import Member, Registration
from sweeps.export.selection import KNEE, MOST_ACCURATE, SMALLEST
from sweeps.ledger.process_lock import driving
from sweeps.progress.events import Display
from sweeps.tracking.client import MlflowClient
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,  # PyTorch's exporter and MLflow's tables
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

ONE = np.ones((1, 3), dtype=np.float32)
WIDTHS = (1, TWO_PARTS, TWO_STUDENTS, 4)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A sweep whose trials are all on the front, in MLflow."""
    study = toy_study(
        task="deployed_toy:DeployedToy",
        space={"width": {"type": "choice", "values": list(WIDTHS)}},
        search={"sampler": "grid"},
        budget={"trials": len(WIDTHS)},
        confirm={"select": "none"},
    )
    engine = Engine(study, tmp_path_factory.mktemp("home"))
    engine.search()
    engine.into_mlflow()
    return engine


def frames_of(engine: Engine) -> SweepFrames:
    return sweep_frames(engine.folder.path)


def widths(engine: Engine) -> dict[int, int]:
    """Return the trials by their width."""
    return {int(trial.params["width"]): trial.number for trial in engine.ledger.trials()}


def register(engine: Engine, members: int = 9, seconds: float = 60.0) -> dict[int, Member]:
    with recording(engine.folder, None, pytest.fail) as recorder:
        folder = engine.folder.path / EXPORT_DIR
        work = Registration(frames_of(engine), folder, recorder, engine.clock)
        exporter = Exporter(engine.folder, Display().data_progress)
        return {member.trial: member for member in work.run(exporter, members, seconds)}


def test_a_front_is_registered_step_by_step_and_nothing_twice(engine: Engine) -> None:
    number, client = widths(engine), MlflowClient(engine.folder.tracking_uri)
    name = engine.folder.name
    late = register(engine, seconds=-1.0)
    (reason,) = {member.reason for member in late.values()}
    assert "no time" in reason

    first = register(engine, members=1)
    (knee,) = first
    assert first[knee].aliases[0] == KNEE

    found = register(engine)
    assert found.keys() == set(number.values())
    assert found[number[TWO_STUDENTS]].reason == "the trial has two students on a node"
    made = {trial: member.version for trial, member in found.items() if member.version}
    assert sorted(made.values()) == ["1", "2", "3"]
    aliases = client.get_registered_model(name).aliases
    assert str(aliases[SMALLEST]) == made[number[1]]
    assert str(aliases[MOST_ACCURATE]) == made[number[4]]
    assert (KNEE in aliases) is (knee in made)

    assert register(engine) == found
    assert client.get_registered_model(name).aliases == aliases
    assert len(client.search_model_versions(f"name = '{name}'")) == 3


def test_what_was_measured_is_in_ledger_and_mlflow(engine: Engine) -> None:
    found = register(engine)
    latency = frames_of(engine).trials.set_index("number")[layout.ONNX_LATENCY]
    for trial, member in found.items():
        if member.latency_ms is None:
            assert np.isnan(latency[trial])
        else:
            assert latency[trial] == member.latency_ms > 0.0
    assert [line for line in verify_sweep(engine.folder.path) if "front.json" not in line] == []

    trial = engine.ledger.trial(widths(engine)[TWO_PARTS])
    measured = engine.ledger.exports()[trial.number].metrics
    parts = [measured[f"onnx_{name}_latency_ms"] for name in ("first", "second")]
    assert measured[layout.ONNX_LATENCY] == pytest.approx(sum(parts))


@pytest.mark.filterwarnings("ignore")  # MLflow's models of agents, which it imports as well
def test_mlflow_opens_what_was_registered(engine: Engine, monkeypatch) -> None:
    import mlflow

    found = register(engine)
    trials = {trial.number: trial for trial in engine.ledger.trials()}
    # set_tracking_uri leaves this behind for every test after it
    monkeypatch.setenv("MLFLOW_TRACKING_URI", engine.folder.tracking_uri)
    mlflow.set_tracking_uri(engine.folder.tracking_uri)
    model = mlflow.pyfunc.load_model(f"models:/{engine.folder.name}@{SMALLEST}")
    (given,) = model.predict(ONE).values()
    error = trials[widths(engine)[1]].metrics["val_nmse_db"]
    assert given.item() == pytest.approx(error, abs=1e-5)
    (entry,) = model.metadata.signature.outputs.inputs
    assert (entry.name, entry.shape) == (next(iter(model.predict(ONE))), (-1, 1))
    version = found[widths(engine)[TWO_PARTS]].version
    part = mlflow.pyfunc.load_model(f"models:/{engine.folder.name}/{version}/first")
    (passed,) = part.predict(ONE).values()
    assert passed.item() == pytest.approx(1.0)


def test_files_are_written_even_if_the_records_cannot_be(engine: Engine, tmp_path: Path) -> None:
    with driving(engine.folder.path):
        done = run_export(engine.folder.path, None, widths(engine)[1], tmp_path, int8=False)
    assert "is being run by process" in done.unrecorded
    assert (tmp_path / "student.onnx").is_file()
    assert run_export(engine.folder.path, None, 0, tmp_path, int8=False).unrecorded == ""
