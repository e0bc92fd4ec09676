"""Edges with topologies of their own: each is served as if all edges had its topology."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csi_examples import drained
from hypothesis import given, settings
from hypothesis import strategies as st
from network_deployments import MIXED, assert_same_arrays, numbers
from toy_network import ToyNetworkTask
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.policy import EDGE_TOPOLOGIES
from kdtasks.contract.task import Outcome, Report
from sweeps.nodes.conductor import conduct
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.nodes.transport import InProcessTransport

TASK = ToyNetworkTask()
DATA = TASK.load_scenario({}, cache_dir=Path(), progress=lambda *_: None)
RUNGS = (0.125, 0.375, 0.8)


def deploy(
    changes: dict[str, Any], rungs: tuple[float, ...] = ()
) -> tuple[Outcome, list[Report], InProcessTransport]:
    params = TASK.complete({"epochs": 4, "edge_epochs": 3, **changes})
    teacher = None
    if TASK.teacher_fingerprint(params) is not None:
        teacher = drained(TASK.train_teacher(params, DATA.train, DATA.val))[1]
    splits = (DATA.train, DATA.val)
    transport = InProcessTransport("toy_network:ToyNetworkTask", splits, teacher, params)
    reports, outcome = drained(conduct(TASK, params, transport, rungs))
    return outcome, reports, transport


def per_edge(*topologies: str, **changes: Any) -> dict[str, Any]:
    listed = {"edge_topologies": " ".join(topologies), "num_edges": len(topologies)}
    return {"topology": "per-edge", **listed, **changes}


WORLDS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["kd", "vanilla"]),
        "edge_families": st.sampled_from(["same", "mixed"]),
        "two_sided": st.booleans(),
        "num_teachers": st.integers(1, 3),
        "uploads": st.integers(0, 2),
        "rehearsal_share": st.sampled_from([0.0, 0.5]),
        "rehearsal_source": st.sampled_from(["global", "synthetic"]),
        "anchor": st.sampled_from(["student", "server"]),
        "anchor_weight": st.sampled_from([0.0, 0.5]),
        "exchange_bits": st.sampled_from([0, 8]),
        "link_loss": st.floats(0.0, 0.9),
        "sign_messages": st.booleans(),
        "seed": st.integers(0, 3),
    }
)


def shared(ours: Outcome, theirs: Outcome) -> dict[str, float]:
    """Return the numbers of a deployment that one of a single topology has, too."""
    return {n: v for n, v in numbers(ours.metrics).items() if n in theirs.metrics}


@given(topology=st.sampled_from(EDGE_TOPOLOGIES), edges=st.integers(1, 4), world=WORLDS)
@settings(max_examples=times(20), deadline=None)
def test_equal_choices_are_the_uniform_deployment(
    topology: str, edges: int, world: dict[str, Any]
) -> None:
    uniform, reports, _ = deploy({"topology": topology, "num_edges": edges, **world})
    ours, also, _ = deploy(per_edge(*[topology] * edges, **world))
    assert shared(ours, uniform) == numbers(uniform.metrics)
    assert_same_arrays(ours.weights, uniform.weights)
    assert [(r.epoch, r.epochs) for r in also] == [(r.epoch, r.epochs) for r in reports]


CHOICES = st.lists(st.sampled_from(EDGE_TOPOLOGIES), min_size=1, max_size=5)


@given(choices=CHOICES, world=WORLDS)
@settings(max_examples=times(20), deadline=None)
def test_each_edge_is_served_as_if_all_had_its_topology(
    choices: list[str], world: dict[str, Any]
) -> None:
    world = {**world, "uploads": 0, "link_loss": 0.0}  # what others send changes nothing for it
    ours, _, _ = deploy(per_edge(*choices, **world))
    for topology in {*choices}:
        theirs, _, _ = deploy(per_edge(*[topology] * len(choices), **world))
        for edge, own in enumerate(choices):
            if own != topology:
                continue
            for part in ("a", "b") if world["two_sided"] else ("a",):
                name = f"edge-{edge}/{part}"
                assert np.array_equal(ours.weights[name], theirs.weights[name])
            for name in ("bytes", "train_gflop", "peak_bytes"):
                metric = f"edge_{edge}_{name}"
                assert ours.metrics[metric] == theirs.metrics[metric]


@given(choices=CHOICES, world=WORLDS)
@settings(max_examples=times(20), deadline=None)
def test_what_edges_cost_adds_up(choices: list[str], world: dict[str, Any]) -> None:
    outcome, reports, _ = deploy(per_edge(*choices, **world))
    metrics = outcome.metrics
    each = {
        name: [metrics[f"edge_{edge}_{name}"] for edge in range(len(choices))]
        for name in ("bytes", "train_gflop", "peak_bytes", "done_s")
    }
    assert sum(each["bytes"]) == metrics["bytes_over_air"]
    assert sum(each["train_gflop"]) / len(choices) == pytest.approx(metrics["edge_train_gflop"])
    assert max(each["peak_bytes"]) == metrics["edge_peak_bytes"]
    assert max(each["done_s"]) <= metrics["deployment_s"]
    for edge, topology in enumerate(choices):
        assert (each["train_gflop"][edge] > 0.0) is (topology != "centralized")
    if world["edge_families"] == "same":  # in the other one students train an epoch more
        assert reports[-1].epoch == reports[-1].epochs == reports[0].epochs


def test_the_server_trains_once_what_edges_of_two_topologies_begin_with() -> None:
    alone, _, _ = deploy({"topology": "centralized", "num_edges": 3})
    mixed, _, _ = deploy(per_edge("centralized", "semi-centralized", "decentralized"))
    assert mixed.metrics["server_train_gflop"] == alone.metrics["server_train_gflop"] > 0.0
    # two of three edges have a student that was trained there
    share = mixed.metrics["train_gflop"] - mixed.metrics["edge_train_gflop"]
    assert share == pytest.approx(alone.metrics["server_train_gflop"] * 2 / 3)


def test_only_edges_that_train_with_the_teacher_are_sent_it() -> None:
    fields = {"link_loss": 0.0}
    mixed, _, _ = deploy(per_edge("centralized", "decentralized", "semi-centralized", **fields))
    taught, _, _ = deploy({"topology": "decentralized", "num_edges": 1, **fields})
    assert mixed.metrics["edge_teacher_bytes"] == taught.metrics["edge_teacher_bytes"] / 3
    assert mixed.metrics["edge_1_bytes"] == taught.metrics["bytes_over_air"]
    assert mixed.metrics["edge_0_bytes"] < mixed.metrics["edge_2_bytes"]


def test_a_teacher_waits_for_no_student() -> None:
    """The server sends what it has before it trains, however slow it is."""
    slow = {"server_gflops": 1e-9, "edge_gflops": 1e6}
    mixed, _, _ = deploy(per_edge("decentralized", "centralized", **slow))
    assert mixed.metrics["edge_0_done_s"] < 1.0 < mixed.metrics["edge_1_done_s"]


def test_edges_differ_in_what_they_are_given() -> None:
    fields = {"link_delay_ms": 0.0, "link_rate_mbps": 0.1, "edge_gflops": 1e6}
    shares = {"edge_link_shares": "1 0.5", "edge_speed_shares": "1 1"}
    links, _, _ = deploy(per_edge("decentralized", "decentralized", **fields, **shares))
    both = [links.metrics[f"edge_{edge}_done_s"] for edge in (0, 1)]
    assert both[1] == pytest.approx(2 * both[0])
    fields = {"edge_gflops": 1e-9, "link_rate_mbps": 1e6}
    shares = {"edge_link_shares": "1 1", "edge_speed_shares": "1 0.25"}
    speeds, _, _ = deploy(per_edge("decentralized", "decentralized", **fields, **shares))
    both = [speeds.metrics[f"edge_{edge}_done_s"] for edge in (0, 1)]
    assert both[1] == pytest.approx(4 * both[0], rel=1e-3)


@pytest.mark.parametrize("name", MIXED)
def test_judging_on_the_way_changes_no_number(name: str) -> None:
    plain, _, _ = deploy(MIXED[name])
    ours, reports, _ = deploy(MIXED[name], RUNGS)
    assert numbers(ours.metrics) == numbers(plain.metrics)
    assert_same_arrays(ours.weights, plain.weights)
    judged = [report.metrics for report in reports if "val_error" in report.metrics]
    assert judged
    for before, after in zip(judged, [*judged[1:], ours.metrics], strict=True):
        for metric in ("bytes_over_air", "deployment_s", "edge_train_gflop", "energy_j"):
            assert before[metric] <= after[metric], metric


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge_topologies": "", "policy": "thresholds"}, ["policy", "edge_topologies instead"]),
        ({"method": "pairs"}, ["pairs", "edge_topologies"]),
        ({"poisoned_edges": 1}, ["poisoned_edges=1", "per-edge"]),
        ({"defence": "probe"}, ["defence='probe'", "per-edge"]),
    ],
)
def test_what_edges_cannot_have_by_themselves_is_refused(
    changes: dict[str, Any], words: list[str]
) -> None:
    params = TASK.complete({**per_edge("decentralized", "centralized"), **changes})
    with pytest.raises(ConfigError) as raised:
        collaborative(TASK, params)
    for word in words:
        assert word in str(raised.value)
