"""Students of a network are judged on the way, which changes nothing of what they come to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csi_examples import drained
from hypothesis import given, settings
from hypothesis import strategies as st
from network_deployments import DEPLOYMENTS, assert_same_arrays, numbers
from toy_network import DrawingNetworkTask, ToyNetworkTask
from tried import times

from kdtasks.contract.deployment import NETWORK_METRICS
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Outcome, Report
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport

TASK = DrawingNetworkTask()
NAME = "toy_network:DrawingNetworkTask"
DATA = TASK.load_scenario({}, cache_dir=Path(), progress=lambda *_: None)
RUNGS = (0.125, 0.375)


def deployed(
    changes: dict[str, Any], rungs: Sequence[float]
) -> tuple[list[Report], Outcome, InProcessTransport]:
    """Run a trial, and return its reports, what it comes to and its transport."""
    params = TASK.complete({"epochs": 6, "edge_epochs": 3, **changes})
    teacher = None
    if TASK.teacher_fingerprint(params) is not None:
        teacher = drained(TASK.train_teacher(params, DATA.train, DATA.val))[1]
    transport = InProcessTransport(NAME, (DATA.train, DATA.val), teacher, params)
    return *drained(conduct(TASK, params, transport, rungs)), transport


def judged(reports: Sequence[Report]) -> list[Report]:
    return [report for report in reports if "val_error" in report.metrics]


NETWORKS = [name for name in DEPLOYMENTS if name != "none"]


@given(
    name=st.sampled_from(NETWORKS),
    rungs=st.lists(st.floats(0.01, 0.99), max_size=4, unique=True).map(sorted),
    edges=st.integers(1, 4),
)
@settings(max_examples=times(40), deadline=None)
def test_judging_on_the_way_changes_no_number(name: str, rungs: list[float], edges: int) -> None:
    changes = {**DEPLOYMENTS[name], "num_edges": edges}
    _, plain, _ = deployed(changes, ())
    reports, ours, transport = deployed(changes, rungs)
    assert numbers(ours.metrics) == numbers(plain.metrics)
    assert_same_arrays(ours.weights, plain.weights)
    assert [r.epoch for r in reports] == sorted(r.epoch for r in reports)
    assert len(judged(reports)) <= len(rungs)
    for rung in rungs:  # as of a lone student, the first report at a rung has the scores
        report = next(report for report in reports if report.epoch / report.epochs > rung - 1e-9)
        assert "val_error" in report.metrics
    assert transport.accounts.traffic.metrics()["bytes_over_air"] == plain.metrics["bytes_over_air"]


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_at_rungs_grow_to_what_they_are_at_the_end(name: str) -> None:
    reports, outcome, _ = deployed({**DEPLOYMENTS[name], "link_loss": 0.0}, RUNGS)
    costs = [report.metrics for report in judged(reports)]
    assert len(costs) == len(RUNGS)
    for before, after in zip(costs, [*costs[1:], outcome.metrics], strict=True):
        for metric in NETWORK_METRICS:
            if "core_seconds" not in metric:
                assert before[metric] <= after[metric], metric


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({"topology": "centralized"}, True),
        ({"topology": "decentralized"}, True),
        ({"topology": "decentralized", "method": "vanilla"}, True),
        ({"topology": "self", "rounds": 2}, True),
        ({"topology": "mutual", "rounds": 2}, False),
    ],
)
def test_bytes_are_those_of_a_training_that_ends_there(
    changes: dict[str, Any], exact: bool
) -> None:
    """Known before the training's end, unless more than students is sent on the way."""
    reports, outcome, _ = deployed(changes, (0.5,))
    (report,) = judged(reports)
    assert (report.metrics["bytes_over_air"] == outcome.metrics["bytes_over_air"]) is exact
    assert report.metrics["bytes_over_air"] > 0.0


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "pairs"])
def test_students_at_the_last_rung_are_those_of_the_end(name: str) -> None:
    """Judged after the last epoch, they have the score of the trial."""
    reports, outcome, _ = deployed({**DEPLOYMENTS[name], "num_edges": 2}, (1.0,))
    (report,) = judged(reports)
    assert report.metrics["val_error"] == outcome.metrics["val_error"]
    assert report.epoch == report.epochs


@pytest.mark.parametrize("families", ["same", "mixed"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "pairs"])
def test_the_epochs_of_all_students_are_announced(name: str, families: str) -> None:
    """Shares of the training, at which trials are compared, are of this number."""
    changes = {**DEPLOYMENTS[name], "num_edges": 2, "edge_families": families}
    reports, _, _ = deployed(changes, ())
    # the student of the second family takes an epoch more in each of its trainings
    longer = 1 + changes.get("uploads", 0) if families == "mixed" else 0
    assert reports[-1].epoch - longer <= reports[0].epochs <= reports[-1].epoch


def test_a_rung_is_the_same_share_for_every_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges with trainings of other lengths pause at the same share of their own."""
    seen: list[dict[str, float]] = []
    evaluate = ToyNetworkTask.evaluate_underway

    def noted(self: Any, params: Any, weights: Any, split: Any) -> Any:
        seen.append({n: float(np.abs(a).sum()) for n, a in weights.items() if n.endswith("/a")})
        return evaluate(self, params, weights, split)

    monkeypatch.setattr(ToyNetworkTask, "evaluate_underway", noted)
    changes = {"topology": "decentralized", "epochs": 3, "edge_families": "mixed", "num_edges": 2}
    reports, _, _ = deployed(changes, (0.5,))
    assert seen
    assert seen[0].keys() == {"edge-0/a", "edge-1/a"}
    (report,) = judged(reports)
    assert 0.5 <= report.epoch / report.epochs <= 0.75


def test_several_students_of_a_server_are_judged_once_each_has_begun() -> None:
    changes = {"topology": "centralized", "edge_families": "mixed", "num_edges": 2, "epochs": 4}
    reports, _, _ = deployed(changes, RUNGS)
    (report,) = judged(reports)
    assert report.epoch / report.epochs > 0.5


def test_a_task_without_students_on_the_way_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = ToyNetworkTask._trained

    def silent(self: Any, *given: Any) -> Any:
        return forwarded(trained(self, *given), lambda report: replace(report, left=None))

    monkeypatch.setattr(ToyNetworkTask, "_trained", silent)
    reports, _, _ = deployed({"topology": "decentralized"}, RUNGS)
    assert judged(reports) == []
    assert reports[-1].epoch == reports[-1].epochs
