"""What stands in a sweep's way is said before its name is taken or anything of it is changed."""

import http.server
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import toy_study
from toy_task import ToyTask

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.common.capacity import ResourceRequest
from sweeps.ledger.launch_settings import SweepSettings, settled_uri, write_settings
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.sqlite_file import sqlite_uri
from sweeps.progress.events import Display
from sweeps.run import ray_cluster, runner
from sweeps.tracking.client import MlflowClient
from sweeps.tracking.server_check import check_tracking
from sweeps.tracking.writer import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

HTML = b"<html>not MLflow</html>"


class Wrong(http.server.BaseHTTPRequestHandler):
    status = 500

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(HTML)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """A server that is none of MLflow's."""
    found = http.server.HTTPServer(("127.0.0.1", 0), Wrong)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


def run(home: Path, uri: str | None = None, name: str = "toy") -> None:
    runner.run_study(
        toy_study(),
        name=name,
        home=home,
        tracking_uri=uri,
        request=ResourceRequest(slots=1, transport="inprocess"),
        display=Display(),
    )


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_server_that_is_not_mlflow(
    status: int, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wrong, "status", status)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=rf"--tracking-uri {server}: MLflow cannot be reached"):
        run(tmp_path / "home", server)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9",
        "gopher://127.0.0.1",
        "127.0.0.1:5000",
        "mlruns",
        "postgresql://127.0.0.1:9/runs",
        "sqlite:////no/such/folder/runs.db",
    ],
)
def test_addresses_that_lead_nowhere(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--tracking-uri {uri}"):
        run(tmp_path / "home", uri)
    assert not (tmp_path / "home").exists()
    assert not Path("/no").exists()


def test_addresses_of_mlflow_are_taken_as_they_are() -> None:
    for uri in ("http://host:5000", "https://host/x", "databricks", "databricks://profile"):
        assert settled_uri(uri) == uri


@pytest.mark.slow
def test_names_and_experiments_that_mlflow_has(tmp_path: Path) -> None:
    uri, folder = sqlite_uri(tmp_path / "a%20b?.db"), SweepFolder(tmp_path / "home" / "toy")
    Tracker.start(folder, uri, toy_study(), 0, "one")
    with pytest.raises(ConfigError, match="has a sweep toy; choose another --name"):
        run(tmp_path / "home", uri)
    with pytest.raises(ConfigError, match="has another sweep toy; delete its run"):
        check_tracking(folder, uri, "toy", "two")
    check_tracking(folder, uri, "toy", "one")
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("toy").experiment_id)
    with pytest.raises(ConfigError, match="experiment toy; mlflow experiments restore"):
        run(tmp_path / "home", uri, "other")
    assert not (tmp_path / "home").exists()


def test_a_resumed_sweep_is_left_as_it_is(tmp_path: Path) -> None:
    engine = Engine(toy_study(budget={"trials": 2}), tmp_path)
    engine.teach()
    engine.search()
    write_settings(engine.folder.path, SweepSettings(id="one"))
    before = {p: p.read_bytes() for p in engine.folder.path.rglob("*") if p.is_file()}
    for uri, request in {
        "http://127.0.0.1:9": None,
        None: ResourceRequest(address="127.0.0.1:9"),
    }.items():
        with pytest.raises(UserError, match=r"127\.0\.0\.1:9"):
            runner.run_study(
                toy_study(budget={"trials": 9}),
                name="sweep",
                home=tmp_path,
                tracking_uri=uri,
                request=request or ResourceRequest(),
                display=Display(),
            )
        after = {p: p.read_bytes() for p in engine.folder.path.rglob("*") if p.is_file()}
        after.pop(engine.folder.path / ".lock", None)
        assert after == before


@pytest.mark.slow
def test_a_ray_that_does_not_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **facts: object) -> None:
        raise ValueError("AF_UNIX path length cannot exceed 107 bytes")

    monkeypatch.setattr(ray_cluster.ray, "init", broken)
    uri = sqlite_uri(tmp_path / "shared.db")
    with pytest.raises(UserError, match=r"Ray cannot be started on this machine: .*AF_UNIX"):
        run(tmp_path / "home", uri)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["cache"]
    check_tracking(SweepFolder(tmp_path / "home" / "toy"), uri, "toy", "")


def test_a_disk_that_is_full_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **facts: object) -> None:
        raise UserError("no space left")

    monkeypatch.setattr(ToyTask, "load_scenario", full)
    with pytest.raises(UserError, match="no space left"):
        run(tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["cache"]


@pytest.mark.slow
def test_an_aborting_ray_is_reported(tmp_path: Path) -> None:
    limit = 3_000_000_000
    script = (
        "from sweeps.workers import ray_start\n"
        "ray_start.START_S = 10.0\n"
        "from sweeps.run.ray_cluster import check_local\n"
        "from kdtasks.contract.errors import UserError\n"
        "try:\n    check_local()\nexcept UserError as error:\n    print(error)\n"
    )
    doctor = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert "Ray cannot be started on this machine" in doctor.stdout
    assert "ulimit -v limits memory: raise that limit" in doctor.stdout


@pytest.mark.parametrize("variable", [True, False])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_setting_and_the_dead_server_are_named_briefly(tmp_path, monkeypatch, variable, scheme):
    uri = f"{scheme}://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri if variable else "http://127.0.0.1:10")
    with pytest.raises(UserError) as refused:
        check_tracking(SweepFolder(tmp_path / "sweep"), uri, "study", "")
    message = str(refused.value)
    assert len(message) < 250
    assert "Connection refused" in message
    option, other = "MLFLOW_TRACKING_URI", "--tracking-uri"
    option, other = (option, other) if variable else (other, option)
    assert message.startswith(f"{option} {uri}")
    assert other not in message


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere"])
@pytest.mark.parametrize("variable", [True, False])
def test_an_address_is_named_by_what_it_was_given_by(monkeypatch, address, variable):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError) as refused:
        ray_cluster.cluster_capacity(address)
    option, other = ("RAY_ADDRESS", "--address") if variable else ("--address", "RAY_ADDRESS")
    assert str(refused.value).startswith(f"{option} {address}")
    assert other not in str(refused.value).removesuffix("--address local to run here")
