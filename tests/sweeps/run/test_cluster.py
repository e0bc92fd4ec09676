"""A sweep on a Ray cluster of three nodes that share nothing, one of which is lost on the way."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster
from toy_study import toy_study

from kdtasks.contract.errors import UserError
from search_spaces.study import Study
from sweeps.cli.guard import USER_ERROR
from sweeps.cli.main import main
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialState
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.ledger import Ledger
from sweeps.progress.events import Display, SweepEvent, TrialFinished
from sweeps.run import ray_cluster
from sweeps.run.runner import run_study
from sweeps.search import tune_adapters
from sweeps.tracking.verify import verify_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

FORBIDDEN = "KDSWEEP_TEST_FORBIDDEN"
"""Set on the nodes: a folder that nobody there may touch, as if they were other machines."""

FAR_TASK = f'''
"""The toy task on a node of its own: it says where it runs, and what it must not touch."""

import os
import sys

import numpy as np
import ray
from toy_task import ToyTask


def _refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(os.environ["{FORBIDDEN}"]):
        raise PermissionError(f"another machine has no {{arguments[0]}}")


if "{FORBIDDEN}" in os.environ:
    sys.addaudithook(_refuse)


class FarTask(ToyTask):
    def train_teacher(self, params, train, val):
        artifact = yield from super().train_teacher(params, train, val)
        artifact.outputs["padding"] = np.ones(200_000)  # does not travel with the answer itself
        return artifact

    def train_student(self, params, train, val, teacher):
        outcome = yield from super().train_student(params, train, val, teacher)
        outcome.weights["padding"] = np.full(100_000, float(params["x"]))
        node = int(ray.get_runtime_context().get_node_id()[:12], 16)
        threads = float(os.environ["OMP_NUM_THREADS"])
        sent, fenced = "py_modules_files" in __file__, "{FORBIDDEN}" in os.environ
        outcome.metrics.update(node=node, threads=threads, fenced=float(sent and fenced))
        return outcome
'''


def far_study(**changes: Any) -> Study:
    fields = {
        "task": "far_task:FarTask",
        "parameters": {"epochs": 2, "epoch_s": 0.5},
        "budget": {"trials": 14},
        "resources": {"cpus": 1},
        "confirm": {"limit": 2},
    }
    return toy_study(**{**fields, **changes})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of sweeps, and beside it a task that only this process finds."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "far_task.py").write_text(FAR_TASK)
    shutil.copy((Path(__file__).parents[1] / "toy_task.py"), code)
    monkeypatch.syspath_prepend(str(code))
    return tmp_path / "home"


@pytest.fixture
def cluster(home: Path) -> Iterator[Cluster]:
    env = {FORBIDDEN: str(home), "OMP_NUM_THREADS": "7"}
    nodes = {"num_cpus": 1, "env_vars": env}
    found = Cluster(initialize_head=True, head_node_args={**nodes, "include_dashboard": False})
    try:
        for _ in range(2):
            found.add_node(**nodes)
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


class Saboteur(Display):
    """Takes a node away, without a word, as soon as every node has finished a trial."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.nodes: list[int] = []
        self.lost_after = 0
        self.workers: set[psutil.Process] = set()

    def handle(self, event: SweepEvent) -> None:
        if not isinstance(event, TrialFinished):
            return
        self.nodes.append(int(event.metrics["node"]))
        self.workers |= _workers()
        if not self.lost_after and len(set(self.nodes)) == 3:
            self.lost_after = len(self.nodes)
            self._cluster.remove_node(next(iter(self._cluster.worker_nodes)), allow_graceful=False)


def test_a_sweep_spreads_over_a_cluster_and_outlives_the_loss_of_a_node(
    home: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a process that dies alone would fail its trial: those on the lost node may not count
    monkeypatch.setattr(tune_adapters, "RETRIES", 0)
    saboteur = Saboteur(cluster)
    summary = run_study(
        far_study(),
        name="far",
        home=home,
        tracking_uri=None,
        request=ResourceRequest(address=cluster.address),
        display=saboteur,
    )
    assert 3 <= saboteur.lost_after < 14
    assert (summary.complete, summary.failed) == (14, 0)
    assert summary.confirmations == 2
    assert len(set(saboteur.nodes[saboteur.lost_after + 2 :])) == 2
    trials = Ledger.open(summary.folder / "journal.log").trials()
    assert sum(trial.state is TrialState.COMPLETE for trial in trials) == 14
    assert {trial.metrics["threads"] for trial in trials} == {1.0}
    assert {trial.metrics["fenced"] for trial in trials} == {1.0}
    assert len(list((summary.folder / "weights").glob("trial-*.safetensors"))) == 14
    assert verify_sweep(summary.folder) == []
    assert read_settings(summary.folder).request.address == cluster.address
    _assert_left_alone(cluster, saboteur.workers)


def _workers() -> set[psutil.Process]:
    """Return the processes of a sweep on the cluster that this process has started."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found[process] = " ".join(process.cmdline())
    return {process for process, t in found.items() if "ray::Student" in t or "ray::NodeHost" in t}


def _assert_left_alone(cluster: Cluster, workers: set[psutil.Process]) -> None:
    """The cluster goes on, and nothing of the sweep does."""
    ray.init(address=cluster.address, log_to_driver=False)
    limit = time.monotonic() + 20.0
    while ray.available_resources().get("CPU") != 2.0 and time.monotonic() < limit:
        time.sleep(0.2)
    assert ray.available_resources()["CPU"] == 2.0
    ray.shutdown()
    assert len(workers) > 3
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def refused(capsys: pytest.CaptureFixture[str], home: Path, address: str) -> str:
    """What `kdsweep run` says of an address, with nothing else and no folder left behind."""
    command = ["run", "csi-feedback", "--home", str(home), "--name", "x", "--address", address]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == USER_ERROR
    assert not (home / "x").exists()
    [line] = capsys.readouterr().err.splitlines()
    assert f"--address {address}" in line
    return line


def test_an_address_without_a_cluster_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "refused" in refused(capsys, tmp_path, f"127.0.0.1:{port}")
    assert "ray job submit" in refused(capsys, tmp_path, "ray://127.0.0.1:10001")
    assert "host:port" in refused(capsys, tmp_path, "somewhere")
    assert "host:port" in refused(capsys, tmp_path, "somewhere:port")


def test_an_address_that_is_no_ray_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "PATIENCE_S", 1.0)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UserError, match="no Ray answers there within 1 s"):
            ray_cluster.cluster_capacity(f"127.0.0.1:{server.server_port}")
        server.shutdown()
