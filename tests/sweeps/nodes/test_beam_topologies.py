"""Beam tracking in every topology: edges with other sensors and other sizes, and what they send."""

import numpy as np
import pytest
from beam_network_examples import (
    DATA,
    MIXED,
    TOPOLOGIES,
    assert_same,
    differ,
    drained,
    networked,
    taught,
)
from beam_trials import TASK, without_times

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.contract.collaboration import parted
from kdtasks.contract.params import fingerprint
from kdtasks.sensing.ownership import sensors_in
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport
from sweeps.nodes.wire.messages import Kind, Message


@pytest.fixture(scope="module")
def teacher():
    return taught(networked(method="response"))


def deployed(params, teacher, rungs=()):
    """Return the reports, the outcome and the messages between nodes of a trial, by receiver."""
    own = None if TASK.teacher_fingerprint(params) is None else teacher
    transport = InProcessTransport("beam-tracking", (DATA.train, DATA.val), own, params)
    sent, send = [], transport.accounts.send

    def listen(parcel):
        if "conductor" not in (parcel.sender, parcel.receiver):
            sent.append(parcel)
        return send(parcel)

    if not rungs:
        transport.accounts.send = listen
    reports, outcome = drained(conduct(TASK, params, transport, rungs))
    return reports, outcome, sent


def read(parcel, params):
    return Message.from_bytes(parcel.payload, deployment=fingerprint(params))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_topology_deploys_a_camera_a_radar_and_both(teacher, topology):
    params = networked(topology, **TOPOLOGIES[topology], **MIXED)
    reports, outcome, _ = deployed(params, teacher)
    assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))
    assert {report.epochs for report in reports} == {len(reports)}
    nodes = parted(outcome.weights)
    for edge in range(3):
        specs = TASK.tensors(TASK.edge_params(params, edge), "edge")
        assert nodes[f"edge-{edge}"].keys() == specs.keys()
    assert len({len(nodes[f"edge-{edge}"]) for edge in range(3)}) == 3
    assert outcome.metrics.keys() <= TASK.metrics.keys()
    again = TASK.evaluate(params, outcome.weights, DATA.val)
    assert {
        f"val_{name}": value for name, value in again.items()
    }.items() <= outcome.metrics.items()
    reports, repeated, _ = deployed(params, teacher, (0.125, 0.375))
    assert any("val_top2" in report.metrics for report in reports)
    assert_same(outcome.weights, repeated.weights)
    timeless = ("seconds", "latency_ms")
    assert without_times(outcome.metrics) == without_times(repeated.metrics), timeless


@pytest.mark.parametrize("topology", ["semi-centralized", "mutual"])
def test_an_edge_is_sent_what_its_own_sensors_have_seen(teacher, topology):
    params = networked(topology, **TOPOLOGIES[topology], **MIXED)
    _, outcome, sent = deployed(params, teacher)
    server = TASK.share_out(params, DATA.train, "train").server
    sizes = {}
    for parcel in sent:
        if parcel.kind is Kind.SAMPLES:
            samples = read(parcel, params).arrays
            sizes[parcel.receiver] = len(parcel.payload)
            assert set(samples["passage"].tolist()) <= set(server["passage"].tolist())
            edge = int(parcel.receiver.removeprefix("edge-"))
            own = TASK.edge_params(params, edge)
            assert sensors_in(samples) == list(BEAM_MODELS[own["model"]].sensors)
            shown = len(samples["label"])
            np.testing.assert_array_equal(samples["label"], server["label"][:shown])
    assert len(sizes) == 3
    if topology == "mutual":  # all are shown the same windows
        assert shown == params["proxy_samples"]
        assert sizes["edge-0"] < sizes["edge-1"] < sizes["edge-2"]
    assert outcome.metrics["raw_samples_up"] == 0


def test_uploaded_windows_are_counted_and_come_with_their_own_frames(teacher):
    params = networked(method="response", uploads=2, upload_share=0.4)
    shares = TASK.share_out(params, DATA.train, "train")
    _, outcome, sent = deployed(params, teacher)
    uploads = [p for p in sent if p.kind is Kind.SAMPLES]
    assert [parcel.sender for parcel in uploads[:3]] == ["edge-0", "edge-1", "edge-2"]
    windows, frames = 0, 0
    for parcel in uploads:
        arrays = read(parcel, params).arrays
        own = shares.edges[int(parcel.sender.removeprefix("edge-"))]
        assert set(arrays["passage"].tolist()) <= set(own["passage"].tolist())
        assert len(arrays["condition"]) < len(own["condition"])
        windows += len(arrays["label"])
        frames += sum(array.nbytes for array in arrays.values())
        assert parcel.raw_samples == len(arrays["label"])
    assert outcome.metrics["raw_samples_up"] == windows
    assert outcome.metrics["raw_bytes_up"] == frames
    # The server asks its teacher about every new window once, and about no other.
    assert outcome.metrics["teacher_forward_samples"] == windows
    without = deployed(networked(method="response"), teacher)[1]
    assert differ(parted(outcome.weights)["edge-0"], parted(without.weights)["edge-0"])


def test_local_training_alone_sends_nothing_and_with_a_teacher_the_teacher(teacher):
    alone = deployed(networked("decentralized", **MIXED), None)[1]
    assert alone.metrics["bytes_over_air"] == 0.0
    params = networked("decentralized", method="response", **MIXED)
    _, outcome, sent = deployed(params, teacher)
    (size,) = {len(parcel.payload) for parcel in sent}
    assert outcome.metrics["bytes_over_air"] == 3 * size
    assert {parcel.kind for parcel in sent} == {Kind.TEACHER}
    local = TASK.share_out(params, DATA.train, "train").edges
    counted = outcome.metrics["teacher_forward_samples"]
    assert counted == sum(len(share["label"]) for share in local)


@pytest.mark.parametrize("topology", ["mutual", "self"])
def test_outputs_of_other_edges_or_earlier_rounds_change_the_result(topology):
    nodes = [
        parted(deployed(networked(topology, rounds=2, anchor_weight=w, **MIXED), None)[1].weights)
        for w in (0.0, 0.5)
    ]
    for edge in ("edge-0", "edge-1", "edge-2"):
        assert differ(nodes[0][edge], nodes[1][edge])


def test_logits_of_few_bits_make_small_messages():
    sizes = {}
    for bits in (0, 8):
        params = networked("mutual", **TOPOLOGIES["mutual"], exchange_bits=bits, **MIXED)
        sizes[bits] = deployed(params, None)[1].metrics["edge_outputs_bytes"]
    header = 1000
    assert sizes[8] < sizes[0] / 4 + 2 * header
    assert sizes[8] < sizes[0] / 2
