"""A home or a sweep's folder that was moved, copied or renamed: read, written to and left alone."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import psutil
import pytest
from in_process import Engine
from mlflow.tracking._tracking_service import utils
from toy_study import toy_study

from analysis import layout
from sweeps.cli.sweeps import find_sweep, prepare_ui, ui_command
from sweeps.common.clock import SystemClock
from sweeps.export.mlflow_models import Models
from sweeps.ledger.launch_settings import SweepSettings, followed, read_settings, write_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.process_lock import LEASE_FILE, driving, read_driver, row_of
from sweeps.ledger.sqlite_file import sqlite_uri
from sweeps.progress.events import Display
from sweeps.progress.state import Utilisation
from sweeps.tracking.client import read_runs
from sweeps.tracking.database_file import ADDRESSES, follow
from sweeps.tracking.double_entry import RunRecorder
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.verify import verify_sweep
from sweeps.tracking.writer import Tracker

ODD = "100%25 of a? #1;&'x' +ü"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished sweep called ``sweep``."""
    home = tmp_path_factory.mktemp("made") / "home"
    engine = Engine(toy_study(budget={"trials": 3}), home)
    engine.teach()
    engine.search()
    engine.into_mlflow()
    write_settings(engine.folder.path, SweepSettings(id="one", folder=str(engine.folder.path)))
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A home of its own to be moved."""
    return Path(shutil.copytree(made, tmp_path / "old"))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith("-shm")
    }


def facts(folder: SweepFolder, tracking_uri: str | None) -> list[dict[str, Any]]:
    parent, runs = read_runs(folder, tracking_uri)
    return [run.to_dictionary() for run in (parent, *runs)]


def differences(folder: Path) -> list[str]:
    return [
        defect for defect in verify_sweep(folder) if not defect.startswith("front.json: missing")
    ]


def addresses(folder: Path) -> set[str]:
    """Return all paths that the database of a sweep has of artifacts of ours."""
    with closing(sqlite3.connect(folder / layout.MLFLOW_FILE)) as database:
        found = {
            unquote(urlparse(row[0]).path)
            for table, column in ADDRESSES
            for row in database.execute(f"SELECT {column} FROM {table}")  # noqa: S608
            if row[0]
        }
    return {path for path in found if not path.endswith("/mlruns/0")}  # MLflow's own default


def write_more(folder: SweepFolder) -> None:
    """Do with MLflow what going on with a sweep does."""
    utils._artifact_repos_cache.clear()  # within a process MLflow remembers where a run's files are
    settings = followed(read_settings(folder.path), folder.path)
    write_settings(folder.path, settings)
    tracker = Tracker.resume(folder, settings.tracking_uri, settings.id)
    ledger = Ledger.open(folder.journal)
    if tracker is None:
        tracker = Tracker.start(folder, settings.tracking_uri, ledger.study, 0, settings.id)
    engine = RunRecorder(folder, ledger, tracker, SystemClock(), Display())
    engine.catch_up()
    engine.attach_file(folder.study)
    engine.settle(Utilisation(1, SystemClock()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
class TestMoved:
    @pytest.mark.parametrize("name", ["new", ODD])
    def test_a_moved_home_is_read_and_written_to_where_it_is(self, home: Path, name: str) -> None:
        before = sweep_frames(home / "sweep")
        moved = home.rename(home.parent / name)
        folder = SweepFolder(find_sweep(moved, "sweep"))
        read = files(moved)
        assert sweep_frames(folder.path).trials.equals(before.trials)
        assert files(moved) == read
        write_more(folder)
        assert differences(folder.path) == []
        assert all(path.startswith(f"{folder.path}/artifacts") for path in addresses(folder.path))
        assert list(home.parent.iterdir()) == [moved]

    def test_a_renamed_sweep_keeps_its_runs_and_its_model(self, home: Path) -> None:
        client = Models.open(SweepFolder(home / "sweep"), None).client
        client.create_registered_model("sweep")
        folder = SweepFolder((home / "sweep").rename(home / "other name"))
        assert sweep_frames(folder.path).name == "other name"
        assert differences(folder.path) == []
        models = Models.open(folder, None)
        assert read_runs(folder, None)[0].info.run_name == "other name"
        assert [m.name for m in models.client.search_registered_models()] == ["other name"]
        assert differences(folder.path) == []

    @pytest.mark.parametrize("shared", [False, True])
    def test_a_copy_writes_nothing_into_the_original(self, home: Path, shared: bool) -> None:
        original = SweepFolder(home / "sweep")
        settings = SweepSettings(id="one", folder=str(original.path))
        if shared:
            settings = replace(settings, tracking_uri=sqlite_uri(home.parent / "shared.db"))
        write_settings(original.path, settings)
        write_more(original)
        before, theirs = files(original.path), facts(original, settings.tracking_uri)
        copy = SweepFolder(Path(shutil.copytree(original.path, home / "copy")))
        write_more(copy)
        Models.open(copy, settings.tracking_uri)
        assert files(original.path) == before
        assert facts(original, settings.tracking_uri) == theirs
        parent, runs = read_runs(copy, settings.tracking_uri)
        assert (parent.info.run_name, len(runs)) == ("copy", len(theirs) - 1)
        assert (parent.info.run_id != theirs[0]["info"]["run_id"]) == shared

    def test_a_database_in_the_home_is_moved_with_it(self, home: Path) -> None:
        folder = SweepFolder(home / "sweep")
        uri = sqlite_uri(home / "all.db")
        write_settings(
            folder.path, SweepSettings(id="one", tracking_uri=uri, folder=str(folder.path))
        )
        write_more(folder)
        moved = SweepFolder(home.rename(home.parent / "new") / "sweep")
        assert sweep_frames(moved.path).name == "sweep"
        write_more(moved)
        assert not home.exists(), list(home.rglob("*"))
        assert (moved.path.parent / "artifacts").is_dir()

    def test_the_ui_finds_moved_files(self, home: Path) -> None:
        moved = home.rename(home.parent / ODD)
        prepare_ui(moved / "sweep")
        assert all(p.startswith(f"{moved}/sweep/artifacts") for p in addresses(moved / "sweep"))
        assert sqlite_uri(moved / "sweep" / "mlflow.db") in ui_command(moved / "sweep", 5000)

    def test_addresses_of_others_stay_as_they_are(self, home: Path) -> None:
        # of a database for several sweeps; in a sweep's own they are refused
        path = home / "sweep" / layout.MLFLOW_FILE
        (home / "sweep" / layout.STUDY_FILE).unlink()
        with closing(sqlite3.connect(path)) as database, database:
            (root,) = database.execute(
                "SELECT artifact_location FROM experiments WHERE name = 'toy'"
            ).fetchone()
            for place in (f"{root}-beside", "s3://bucket/x"):
                database.execute("INSERT INTO model_versions (name, version, source) "
                                 "VALUES (?, 1, ?)", (place, place))  # fmt: skip
        follow(sqlite_uri(path))
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT COUNT(*) FROM model_versions WHERE source = name"
                                    ).fetchone() == (2,)  # fmt: skip

    def test_a_home_that_cannot_be_written_to_is_read(self, home: Path) -> None:
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            pytest.skip("wants another user")
        with tempfile.TemporaryDirectory() as place:
            Path(place).chmod(0o755)
            home = home.rename(Path(place) / "home")
            for path in (home, *home.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            before = files(home)
            script = (
                "import sys; from pathlib import Path; sys.dont_write_bytecode = True\n"
                "from sweeps.tracking.read import sweep_frames\n"
                "from sweeps.tracking.verify import verify_sweep\n"
                f"folder = Path({str(home / 'sweep')!r})\n"
                "assert len(sweep_frames(folder).trials) == 3\n"
                "assert len(verify_sweep(folder)) == 1\n"
            )
            root = Path(__file__).resolve().parents[3]
            subprocess.run(
                ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", script],
                check=True,
                env={"PYTHONPATH": str(root), "PATH": os.environ["PATH"]},
            )
            assert files(home) == before


def test_a_copy_of_a_running_sweep_ends_none_of_its_processes(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    try:
        with driving(original) as lease:
            lease._roots.add(lease_row(child))
            lease._write()
            assert read_driver(original) is not None
            shutil.copytree(original, copy)
            assert str(child.pid) in (copy / LEASE_FILE).read_text()
            assert read_driver(copy) is None
            with driving(copy):
                assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def lease_row(process: "subprocess.Popen[bytes]") -> object:
    return row_of(psutil.Process(process.pid))


def test_a_folder_that_is_moved_while_it_is_driven_stops_its_driver(tmp_path: Path) -> None:
    folder, replaced = tmp_path / "sweep", threading.Event()
    folder.mkdir()
    with driving(folder, replaced.set) as lease:
        moved = folder.rename(tmp_path / "moved")
        assert replaced.wait(30)
        assert lease.lost
        with pytest.raises(Exception, match="is being run by"), driving(moved):
            pass
    assert not folder.exists()
