"""Networks of edges with topologies of their own: trained as alone, and as the policy expected."""

from pathlib import Path
from typing import Any

import pytest
from csi_examples import drained
from network_deployments import assert_same_arrays, numbers

from kdtasks.contract.registry import load_task
from kdtasks.contract.task import Outcome, ScenarioData, TeacherArtifact
from kdtasks.csi_feedback.families import edge_settings
from kdtasks.csi_feedback.policy import demand
from kdtasks.csi_feedback.settings import resolve
from kdtasks.csi_feedback.workload import samples_of
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TASK = load_task("csi-feedback")
FIELDS: dict[str, Any] = {
    "num_antennas": 8,
    "num_subcarriers": 8,
    "num_train": 480,
    "num_val": 160,
    "num_test": 60,
    "compression": 4,
    "batch_size": 20,
    "encoder_epochs": 2,
    "finetune_epochs": 1,
    "epochs": 2,
    "teacher_epochs": 2,
    "edge_epochs": 2,
    "num_edges": 3,
    "edge_samples": 40,
    "server_age": 0.5,
}
TOPOLOGIES = ("decentralized", "semi-centralized", "centralized")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ScenarioData:
    params = TASK.complete({**FIELDS, "topology": "centralized"})
    cache: Path = tmp_path_factory.mktemp("cache")
    return TASK.load_scenario(params, cache_dir=cache, progress=lambda *_: None)


@pytest.fixture(scope="module", params=["encoder-kd", "vanilla"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def teacher(data: ScenarioData, method: str) -> TeacherArtifact | None:
    params = TASK.complete({**FIELDS, "topology": "centralized", "method": method})
    if method == "vanilla":
        return None
    artifact: TeacherArtifact = drained(TASK.train_teacher(params, data.train, data.val))[1]
    return artifact


def deploy(
    data: ScenarioData, teacher: TeacherArtifact | None, **changes: Any
) -> tuple[Outcome, Any]:
    params = TASK.complete({**FIELDS, **changes})
    transport = InProcessTransport("csi-feedback", (data.train, data.val), teacher, params)
    outcome: Outcome = drained(conduct(TASK, params, transport))[1]
    return outcome, params


def per_edge(*listed: str) -> dict[str, str]:
    return {"topology": "per-edge", "edge_topologies": " ".join(listed)}


def test_equal_choices_are_the_uniform_deployment(
    data: ScenarioData, teacher: TeacherArtifact | None, method: str
) -> None:
    for topology in TOPOLOGIES:
        uniform, _ = deploy(data, teacher, method=method, topology=topology)
        ours, _ = deploy(data, teacher, method=method, **per_edge(*[topology] * 3))
        shared = {n: v for n, v in numbers(ours.metrics).items() if n in uniform.metrics}
        assert shared == numbers(uniform.metrics)
        assert_same_arrays(ours.weights, uniform.weights)


def test_each_edge_is_trained_as_in_a_deployment_of_its_topology(
    data: ScenarioData, teacher: TeacherArtifact | None, method: str
) -> None:
    mixed, params = deploy(data, teacher, method=method, **per_edge(*TOPOLOGIES))
    for edge, topology in enumerate(TOPOLOGIES):
        theirs, _ = deploy(data, teacher, method=method, **per_edge(*[topology] * 3))
        own = {n: a for n, a in mixed.weights.items() if n.startswith(f"edge-{edge}/")}
        assert_same_arrays(own, {name: theirs.weights[name] for name in own})
        for name in numbers(mixed.metrics):
            if name.startswith((f"edge_{edge}_", f"val_edge_{edge}_")) and "done_s" not in name:
                assert mixed.metrics[name] == theirs.metrics[name], name
    judged = [10 ** (mixed.metrics[f"val_edge_{edge}_nmse_db"] / 10) for edge in range(3)]
    assert sum(judged) / 3 == pytest.approx(10 ** (mixed.metrics["val_nmse_db"] / 10))
    settings = resolve(params)
    for edge, topology in enumerate(TOPOLOGIES[:2]):
        expected = demand(edge_settings(settings, topology, edge), samples_of(settings, edge))
        found = {n: mixed.metrics[f"edge_{edge}_{n}"] for n in ("peak_bytes", "train_gflop")}
        assert found["peak_bytes"] == expected.peak_bytes
        assert found["train_gflop"] == pytest.approx(expected.flop / 1e9)
        # headers of a few messages come on top
        assert 0 <= mixed.metrics[f"edge_{edge}_bytes"] - expected.sent_bytes < 20_000


def test_topologies_that_a_policy_chose_train_like_listed_ones(data: ScenarioData) -> None:
    fields = {"method": "vanilla", "policy": "thresholds", "topology": "per-edge"}
    fields |= {"policy_samples": 30, "policy_stale": 0.9, "edge_sample_shares": "1 0.5 1"}
    config = TASK.complete({**FIELDS, **fields})
    assert config["edge_topologies"] == "semi-centralized centralized semi-centralized"
    chosen, params = deploy(data, None, **fields)
    listed = {n: v for n, v in fields.items() if not n.startswith("policy")}
    theirs, _ = deploy(data, None, **listed, edge_topologies=params["edge_topologies"])
    assert numbers(chosen.metrics) == numbers(theirs.metrics)
