"""What fine-tuning at the edges forgets and what rehearsal keeps; small, but trained in earnest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from csi_examples import drained

from kdtasks.contract.registry import load_task
from kdtasks.contract.task import ScenarioData
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TASK = load_task("csi-feedback")
FIELDS: dict[str, Any] = {
    "num_antennas": 8,
    "num_subcarriers": 8,
    "num_train": 4000,
    "num_val": 1000,
    "num_test": 1000,
    "compression": 8,
    "epochs": 8,
    "server_coverage": 0.5,
    "num_edges": 2,
}
Run = Callable[..., dict[str, float]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    cache: Path = tmp_path_factory.mktemp("cache")
    params = TASK.complete({**FIELDS, "topology": "centralized"})
    data: ScenarioData = TASK.load_scenario(params, cache_dir=cache, progress=lambda *_: None)

    def deploy(**changes: Any) -> dict[str, float]:
        own = TASK.complete({**FIELDS, **changes})
        transport = InProcessTransport("csi-feedback", (data.train, data.val), None, own)
        metrics: dict[str, float] = drained(conduct(TASK, own, transport))[1].metrics
        return metrics

    return deploy


@pytest.fixture(scope="module")
def plain(run: Run) -> dict[str, float]:
    return run(**SEMI)


SEMI: dict[str, Any] = {
    "topology": "semi-centralized",
    "edge_part_only": False,
    "edge_epochs": 6,
    "edge_rate": 4e-3,
}


def test_fine_tuning_adapts_and_forgets(plain: dict[str, float]) -> None:
    assert plain["val_nmse_db"] < plain["val_received_nmse_db"] - 0.3
    assert plain["val_forgetting_db"] > 0.5


@pytest.mark.parametrize("source", ["global", "synthetic"])
def test_rehearsal_keeps_what_was_learnt(run: Run, plain: dict[str, float], source: str) -> None:
    found = run(**SEMI, rehearsal_share=0.5, rehearsal_source=source)
    assert found["val_forgetting_db"] < 0.7 * plain["val_forgetting_db"]
    assert found["val_nmse_db"] < plain["val_received_nmse_db"]


def test_an_anchor_keeps_what_was_learnt(run: Run, plain: dict[str, float]) -> None:
    found = run(**SEMI, anchor_weight=0.5)
    assert found["val_forgetting_db"] < 0.9 * plain["val_forgetting_db"]
