"""LiDAR beam tracking over the nodes: who is sent what, to the byte, and that no scan leaves."""

import numpy as np
import pytest
from csi_examples import drained, silent
from lidar_trials import TASK, assert_same, network_teacher, networked
from network_deployments import received_in

from kdtasks.contract.collaboration import parted
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import fingerprint
from sweeps.nodes.conductor import conduct
from sweeps.nodes.edge import EdgeNode
from sweeps.nodes.node import Deployment
from sweeps.nodes.transport import InProcessTransport
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message

LEAVES_NO_SCAN = {
    "metadata": {"method": "datafree"},
    "few-metadata": {"method": "datafree", "metadata": "final inputs"},
    "generator": {"method": "datafree", "travels": "generator"},
    "prior": {"method": "prior"},
    "gaussian": {"method": "gaussian"},
    "teacher": {"method": "ordinary"},
}
SENDS_SCANS = {
    "scans": {"method": "ordinary", "scans_travel": True},
    "uploads": {"topology": "centralized", "method": "ordinary", "uploads": 1},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("scans")
    return TASK.load_scenario(networked(), cache_dir=cache, progress=silent)


@pytest.fixture(scope="module")
def teacher(data):
    return network_teacher(data, networked(method="ordinary"))


@pytest.fixture(scope="module")
def deployments(data, teacher):
    """Return for each deployment its parameters, reports, outcome, messages and bytes received."""
    return {
        name: deployed(networked(**changes), data, teacher)
        for name, changes in {**LEAVES_NO_SCAN, **SENDS_SCANS}.items()
    }


def deployed(params, data, teacher):
    own = None if TASK.teacher_fingerprint(params) is None else teacher
    transport = InProcessTransport("lidar-beam", (data.train, data.val), own, params)
    sent, send = [], transport.accounts.send

    def listen(parcel):
        if CONDUCTOR not in (parcel.sender, parcel.receiver):
            sent.append(parcel)
        return send(parcel)

    transport.accounts.send, received = listen, received_in(transport)
    reports, outcome = drained(conduct(TASK, params, transport))
    return params, reports, outcome, sent, received


def size_of(kind, subject, arrays, params, **facts):
    """Return the bytes of a message of these arrays."""
    message = Message(
        kind=kind, subject=subject, deployment=fingerprint(params), arrays=arrays, facts=facts
    )
    return len(message.to_bytes())


def test_without_data_an_edge_is_sent_the_teacher_and_what_belongs_to_it(deployments, teacher):
    for name in LEAVES_NO_SCAN:
        params, _, outcome, sent, received = deployments[name]
        beside, _ = TASK.teacher_extras(params, teacher)
        expected = {"teacher": size_of(Kind.TEACHER, "teacher", teacher.weights, params)}
        expected["features"] = size_of(Kind.FEATURES, "teacher", beside, params) if beside else 0.0
        metrics, total = outcome.metrics, sum(expected.values())
        assert {kind: metrics[f"edge_{kind}_bytes"] for kind in expected} == expected
        assert metrics["edge_bytes"] == total
        assert metrics["bytes_over_air"] == metrics["bytes_down"] == 2 * total
        assert metrics["raw_samples_up"] == metrics["edge_samples_bytes"] == 0
        # Counted at the other end as well.
        assert [received[edge] for edge in ("edge-0", "edge-1")] == [total, total]
        assert received[SERVER] == 0
        assert {parcel.kind for parcel in sent} <= {Kind.TEACHER, Kind.FEATURES}


def test_the_bytes_of_metadata_are_those_that_are_sealed_and_a_header(deployments, teacher):
    sizes = {
        name: deployments[name][2].metrics["edge_features_bytes"]
        for name in ("metadata", "few-metadata", "generator", "prior")
    }
    sealed = {
        name: sum(teacher.outputs[f"metadata.{group}"].nbytes for group in groups)
        for name, groups in {
            "metadata": ("moments", "softmax", "covariance", "inputs"),
            "few-metadata": ("final", "inputs"),
        }.items()
    }
    assert 0 < sizes["metadata"] - sealed["metadata"] < 1200
    assert 0 < sizes["few-metadata"] - sealed["few-metadata"] < 900
    assert 0 < sizes["generator"] - 4 * 22_414 < 1500
    assert sizes["prior"] == 0.0


def test_no_scan_can_be_found_in_what_leaves_a_node(deployments, data):
    scans = data.train["lidar"]
    rows = [scan.tobytes() for scan in scans if (scan > 0).sum() > 5][::7]
    rows += [(scan / 10.0).tobytes() for scan in scans if (scan > 0).sum() > 5][::7]
    for name in ("metadata", "generator", "teacher"):
        payloads = b"".join(parcel.payload for parcel in deployments[name][3])
        assert not any(row in payloads for row in rows)
    payloads = b"".join(parcel.payload for parcel in deployments["scans"][3])
    assert any(row in payloads for row in rows)


def test_scans_that_are_sent_are_counted_to_the_byte(deployments, data, teacher):
    params, _, outcome, _, received = deployments["scans"]
    server = TASK.share_out(params, data.train, "train").server
    expected = {
        "samples": size_of(Kind.SAMPLES, "pairs", server, params),
        "outputs": size_of(Kind.OUTPUTS, "pairs", {"logits": teacher.outputs["logits"]}, params),
        "teacher": 0,
    }
    metrics, total = outcome.metrics, sum(expected.values())
    assert {kind: metrics[f"edge_{kind}_bytes"] for kind in expected} == expected
    assert metrics["edge_bytes"] == total == received["edge-0"]
    # They are the server's, not local ones.
    assert metrics["raw_samples_up"] == 0


def test_uploaded_scans_are_counted_and_come_as_they_were_stored(deployments, data):
    params, _, outcome, _, received = deployments["uploads"]
    shares = TASK.share_out(params, data.train, "train")
    windows, stored, payloads = 0, 0, 0
    for edge in shares.edges:
        count = round(0.25 * len(edge["label"]))
        part = TASK.sample_slice(edge, 0, count)
        windows += count
        stored += sum(array.nbytes for array in part.values())
        payloads += size_of(Kind.SAMPLES, "upload", part, params)
    assert outcome.metrics["raw_samples_up"] == windows > 0
    assert outcome.metrics["raw_bytes_up"] == stored
    assert outcome.metrics["bytes_up"] == payloads == received[SERVER]
    assert outcome.metrics["edge_train_gflop"] == 0.0
    assert outcome.metrics["teacher_forward_samples"] == windows


def test_data_free_students_depend_on_nothing_that_edges_have(data, teacher, deployments):
    params, _, outcome, _, _ = deployments["metadata"]
    passage = data.train["frame_passage"]
    server = TASK.share_out(params, data.train, "train").server
    foreign = ~np.isin(passage, server["passage"])
    scans = np.where(foreign[:, None], np.nan, data.train["lidar"]).astype(np.float32)
    blind = type(data)(
        train={**data.train, "lidar": scans}, val=data.val, test=data.test, provenance={}
    )
    _, _, again, _, _ = deployed(params, blind, teacher)
    assert_same(again.weights, outcome.weights)
    nodes = parted(outcome.weights)
    assert not np.array_equal(nodes["edge-0"]["head.weight"], nodes["edge-1"]["head.weight"])


def test_the_node_that_trains_the_generator_has_its_operations(deployments):
    by_edges, by_server = (deployments[name][2].metrics for name in ("metadata", "generator"))
    assert by_server["server_train_gflop"] > 0.0 == by_edges["server_train_gflop"]
    moved = by_edges["edge_train_gflop"] - by_server["edge_train_gflop"]
    assert moved == pytest.approx(by_server["server_train_gflop"], rel=1e-9)
    assert by_edges["edge_peak_bytes"] > by_server["edge_peak_bytes"]


@pytest.mark.parametrize("name", [*LEAVES_NO_SCAN, *SENDS_SCANS])
def test_reports_count_all_epochs_and_all_metrics_are_declared(deployments, name):
    _, reports, outcome, _, _ = deployments[name]
    assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))
    assert {report.epochs for report in reports} == {len(reports)}
    assert outcome.metrics.keys() <= TASK.metrics.keys()


def test_what_belongs_to_a_teacher_is_not_taken_without_one(data, teacher):
    params = networked(method="datafree")
    deployment = Deployment(
        task=TASK, params=params, settings=NetworkSettings.of(params), key=fingerprint(params)
    )
    node = EdgeNode(0, deployment, TASK.share_out(params, data.train, "train").edges[0])
    beside, _ = TASK.teacher_extras(params, teacher)
    message = Message(
        kind=Kind.FEATURES, subject="teacher", deployment=fingerprint(params), arrays=beside
    )
    _, (parcels, _) = drained(node.handle(SERVER, message.to_bytes()))
    assert node.rejected == 1
    assert "arrived before" in str(parcels[0].payload)
