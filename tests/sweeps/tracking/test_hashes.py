"""Files that were changed after a sweep had written them: found by verify, refused on reuse."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from in_process import Engine
from safetensors.numpy import load, save
from toy_study import toy_study

from analysis import layout
from analysis.report import build_report
from kdtasks.contract.errors import DataError
from kdtasks.data.reading import file_sha256
from sweeps.common.clock import SystemClock
from sweeps.export.export import Exporter
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.teacher_cache import CARD, OUTPUTS, WEIGHTS, TeacherStore
from sweeps.progress.events import Display
from sweeps.progress.state import Utilisation
from sweeps.tracking.double_entry import RunRecorder
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.verify import verify_sweep
from sweeps.tracking.writer import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a sweep with a teacher, runs in MLflow and a report."""
    home = tmp_path_factory.mktemp("made") / "home"
    points = [{"method": "kd", "width": [2, 3], "x": 0.5}]
    engine = Engine(
        toy_study(search={"sampler": "points", "points": points}, space={}, confirm={}), home
    )
    engine.teach()
    engine.search()
    tracker = Tracker.start(engine.folder, None, engine.study, 0)
    recorder = RunRecorder(engine.folder, engine.ledger, tracker, SystemClock(), Display())
    recorder.attach_file(engine.folder.study)
    recorder.attach("provenance.json", {"toy": {"synthetic": True}})
    recorder.settle(Utilisation(1, SystemClock()))
    page = build_report(sweep_frames(engine.folder.path), engine.folder.report)
    recorder.attach_report([page.with_name(name) for name in layout.REPORT_FILES])
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def entry(home: Path) -> Path:
    (folder,) = (home / "cache" / "teachers").iterdir()
    return folder


def zero(path: Path) -> None:
    arrays = load(path.read_bytes())
    path.write_bytes(save({name: np.zeros_like(array) for name, array in arrays.items()}))


def test_a_sweep_that_nobody_changed_has_hashes_of_everything(home: Path) -> None:
    assert verify_sweep(home / "sweep") == []
    ledger = Ledger.open(home / "sweep" / layout.JOURNAL_FILE)
    (teacher,) = [job for job in ledger.jobs() if job.kind == "teacher"]
    assert teacher.sha256 == {n: file_sha256(entry(home) / n) for n in (WEIGHTS, OUTPUTS)}
    noted = {artifact.path for artifact in ledger.artifacts()}
    report = {f"report/{name}" for name in layout.REPORT_FILES}
    assert noted == {"study.yaml", "provenance.json", layout.FAILURES_FILE, *report}
    if shutil.which("sha256sum"):
        check = ["sha256sum", "--check", "--strict", layout.REPORT_SUMS]
        subprocess.run(check, cwd=home / "sweep" / "report", check=True, capture_output=True)


@pytest.mark.parametrize("name", [WEIGHTS, OUTPUTS])
@pytest.mark.parametrize("card", ["as it was", "made to fit"])
def test_a_changed_teacher_is_found_and_not_used(home: Path, name: str, card: str) -> None:
    path = entry(home) / name
    zero(path)
    if card == "made to fit":
        known = json.loads((entry(home) / CARD).read_text())
        known["sha256"][name] = file_sha256(path)
        (entry(home) / CARD).write_text(json.dumps(known))
    folder = SweepFolder(home / "sweep")
    (defect,) = verify_sweep(folder.path)
    assert str(entry(home)) in defect
    jobs = Ledger.open(folder.journal).jobs()
    with pytest.raises(DataError, match="remove the folder"):
        TeacherStore(folder.teachers).check(jobs)
    with pytest.raises(DataError, match="remove the folder"):
        Exporter(folder, Display().data_progress)


@pytest.mark.parametrize("name", layout.REPORT_FILES)
def test_a_changed_report_is_found(home: Path, name: str) -> None:
    file = home / "sweep" / "report" / name
    file.write_bytes(file.read_bytes() + b" ")
    assert [defect for defect in verify_sweep(home / "sweep") if name in defect]


@pytest.mark.parametrize("path", ["study.yaml", "provenance.json", "report/report.html"])
def test_a_changed_artifact_is_found(home: Path, path: str) -> None:
    (file,) = home.glob(f"sweep/artifacts/*/artifacts/{path}")
    file.write_bytes(file.read_bytes() + b" ")
    (defect,) = verify_sweep(home / "sweep")
    assert path in defect
