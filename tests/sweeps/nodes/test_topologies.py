"""Laws of the topologies: what is sent, by whom, how often; nothing is lost uncounted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_deployments import assert_same_arrays, received_in
from toy_network import ToyNetworkTask
from tried import times

from kdtasks.contract.reports import drained, result_of
from kdtasks.contract.task import Outcome, TeacherArtifact
from sweeps.common.events import Training, WorkFailedError
from sweeps.common.records import FailureKind
from sweeps.nodes.conductor import conduct
from sweeps.nodes.node import Node
from sweeps.nodes.transport import InProcessTransport
from sweeps.nodes.wire.messages import Kind, Parcel
from sweeps.nodes.wire.signatures import SEAL_BYTES

TASK = ToyNetworkTask()
DATA = TASK.load_scenario({}, cache_dir=Path(), progress=lambda *_: None)
EPOCHS = 2


def outcome(work: Training[Outcome]) -> tuple[Outcome, int]:
    """Drain a trial; return what it came to and how many epochs it reported."""
    reports, done = drained(work)
    for number, report in enumerate(reports, start=1):
        assert report.epoch == number
        assert report.epochs >= number
    return done, len(reports)


def teacher_of(params: dict[str, Any]) -> TeacherArtifact | None:
    if TASK.teacher_fingerprint(params) is None:
        return None
    return result_of(TASK.train_teacher(params, DATA.train, DATA.val))


class Recorder:
    """Keeps what was sent, by listening at the transport."""

    def __init__(self, transport: InProcessTransport) -> None:
        self.parcels: list[Parcel] = []
        send = transport.accounts.send

        def listen(parcel: Parcel) -> float:
            if "conductor" not in (parcel.sender, parcel.receiver):
                self.parcels.append(parcel)
            return send(parcel)

        transport.accounts.send = listen  # type: ignore[method-assign]
        self.received = received_in(transport)

    def sizes(self, kind: Kind, sender: str = "") -> list[int]:
        return [
            len(parcel.payload)
            for parcel in self.parcels
            if parcel.kind is kind and parcel.sender.startswith(sender)
        ]


def deploy(**changes: Any) -> tuple[Outcome, Recorder, InProcessTransport, int]:
    params = TASK.complete({"epochs": EPOCHS, **changes})
    transport = InProcessTransport(
        "toy_network:ToyNetworkTask", (DATA.train, DATA.val), teacher_of(params), params
    )
    recorder = Recorder(transport)
    result, reports = outcome(conduct(TASK, params, transport))
    return result, recorder, transport, reports


def test_centralized_sends_each_edge_the_student_and_nothing_else() -> None:
    result, sent, _, _ = deploy(topology="centralized", num_edges=5)
    (size,) = set(sent.sizes(Kind.MODEL))
    assert result.metrics["bytes_over_air"] == 5 * size == sum(sent.sizes(Kind.MODEL))
    assert result.metrics["bytes_up"] == 0
    assert result.metrics["edge_train_gflop"] == 0.0
    assert len(sent.parcels) == 5


def test_decentralized_sends_each_edge_the_teacher_and_nothing_else() -> None:
    result, sent, _, _ = deploy(topology="decentralized", num_edges=5)
    (size,) = set(sent.sizes(Kind.TEACHER))
    assert result.metrics["bytes_over_air"] == 5 * size
    assert result.metrics["edge_teacher_bytes"] == size
    assert result.metrics["raw_samples_up"] == 0
    assert result.metrics["edge_train_gflop"] > 0.0


def test_what_was_trained_at_the_edge_and_belongs_at_the_server_is_sent_there() -> None:
    result, sent, _, _ = deploy(topology="decentralized", num_edges=3, method="vanilla")
    assert result.metrics["bytes_down"] == 0
    assert result.metrics["bytes_up"] == sum(sent.sizes(Kind.MODEL, "edge"))
    assert len(sent.parcels) == 3
    one_sided, sent, _, _ = deploy(
        topology="decentralized", num_edges=3, method="vanilla", two_sided=False
    )
    assert one_sided.metrics["bytes_over_air"] == 0.0
    assert not sent.parcels


def test_uploads_take_raw_samples_away_from_the_edges() -> None:
    result, sent, _, reports = deploy(
        topology="centralized", num_edges=4, uploads=2, upload_share=0.25
    )
    local = len(DATA.train["x"]) * 4 / 5 / 4
    assert result.metrics["raw_samples_up"] == 2 * 4 * round(0.25 * local)
    assert result.metrics["raw_bytes_up"] == result.metrics["raw_samples_up"] * 3 * 4
    assert len(sent.sizes(Kind.CONTROL, "server")) == 2 * 4
    assert len(sent.sizes(Kind.MODEL, "server")) == 3 * 4
    assert reports == 3 * EPOCHS


def test_uploads_end_when_there_is_nothing_left_to_send() -> None:
    result, _, _, _ = deploy(topology="centralized", num_edges=2, uploads=3, upload_share=0.5)
    assert result.metrics["raw_samples_up"] == 400


def test_semi_centralized_ships_the_whole_student_and_no_teacher() -> None:
    result, sent, _, _ = deploy(topology="semi-centralized", num_edges=4)
    central, _, _, _ = deploy(topology="centralized", num_edges=4)
    assert result.metrics["edge_teacher_bytes"] == 0.0
    assert result.metrics["bytes_up"] == 0.0
    assert (
        result.metrics["bytes_down"] == sum(sent.sizes(Kind.MODEL)) > central.metrics["bytes_down"]
    )
    assert result.metrics["edge_train_gflop"] > 0.0


@pytest.mark.parametrize("source", ["global", "synthetic"])
def test_rehearsal_costs_bytes_and_changes_the_students(source: str) -> None:
    without, _, _, _ = deploy(topology="semi-centralized", num_edges=2)
    result, sent, _, _ = deploy(
        topology="semi-centralized", num_edges=2, rehearsal_share=0.5, rehearsal_source=source
    )
    kind = Kind.SAMPLES if source == "global" else Kind.FEATURES
    assert len(sent.sizes(kind, "server")) == 2
    assert result.metrics["raw_samples_up"] == 0
    assert not np.array_equal(result.weights["edge-0/a"], without.weights["edge-0/a"])
    assert result.metrics["bytes_over_air"] > without.metrics["bytes_over_air"]


def test_an_anchor_holds_the_student_and_the_stored_word_of_the_server_is_sent() -> None:
    fields = {"topology": "semi-centralized", "num_edges": 2, "anchor_weight": 0.5}
    own, _, _, _ = deploy(**fields)
    free, _, _, _ = deploy(**{**fields, "anchor_weight": 0.0})
    stored, sent, _, _ = deploy(**fields, rehearsal_share=0.5, anchor="server")
    assert not np.array_equal(own.weights["edge-0/a"], free.weights["edge-0/a"])
    assert own.metrics["bytes_over_air"] == free.metrics["bytes_over_air"]
    assert len(sent.sizes(Kind.OUTPUTS, "server")) == 2
    assert stored.metrics["edge_outputs_bytes"] > 0


def test_a_student_that_is_trained_on_is_also_kept_as_it_was_received() -> None:
    result, _, _, _ = deploy(topology="semi-centralized", num_edges=2)
    assert np.array_equal(result.weights["received-0/a"], result.weights["received-1/a"])
    assert not np.array_equal(result.weights["received-0/a"], result.weights["edge-0/a"])


def test_pairs_go_both_ways_and_no_model_does() -> None:
    result, sent, _, _ = deploy(topology="decentralized", method="pairs", num_edges=3)
    assert not sent.sizes(Kind.MODEL)
    assert not sent.sizes(Kind.TEACHER)
    assert len(sent.sizes(Kind.SAMPLES, "server")) == len(sent.sizes(Kind.SAMPLES, "edge")) == 3
    assert len(sent.sizes(Kind.OUTPUTS, "server")) == len(sent.sizes(Kind.OUTPUTS, "edge")) == 3
    assert result.metrics["raw_samples_up"] == 450
    assert result.weights["edge-0/b"] != result.weights["edge-1/b"]


def test_mutual_speaks_every_round_but_the_last() -> None:
    rounds, edges = 4, 3
    result, sent, _, reports = deploy(
        topology="mutual", num_edges=edges, rounds=rounds, proxy_samples=20, anchor_weight=0.5
    )
    assert len(sent.sizes(Kind.SAMPLES, "server")) == edges
    assert len(sent.sizes(Kind.OUTPUTS, "edge")) == (rounds - 1) * edges
    assert len(sent.sizes(Kind.OUTPUTS, "server")) == (rounds - 1) * edges
    assert result.metrics["raw_samples_up"] == 0
    assert reports == rounds * edges * 2


def test_one_edge_alone_receives_nothing() -> None:
    result, sent, _, _ = deploy(topology="mutual", num_edges=1, rounds=3, anchor_weight=0.5)
    self_taught, _, _, _ = deploy(topology="self", num_edges=1, rounds=3)
    assert not sent.sizes(Kind.OUTPUTS, "server")
    assert np.array_equal(result.weights["edge-0/a"], self_taught.weights["edge-0/a"])


def test_self_sends_the_servers_part_and_nothing_else() -> None:
    result, sent, _, reports = deploy(topology="self", num_edges=3, rounds=4, anchor_weight=0.3)
    assert len(sent.parcels) == len(sent.sizes(Kind.MODEL, "edge")) == 3
    assert result.metrics["bytes_down"] == 0
    assert reports == 4 * 3 * 2


def test_fewer_bits_make_smaller_exchanges() -> None:
    fields = {"topology": "decentralized", "method": "pairs", "num_edges": 2}
    sizes = [deploy(**fields, exchange_bits=b)[0].metrics["bytes_over_air"] for b in (4, 8, 16, 0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.35 * sizes[-1]  # headers do not shrink


def test_teachers_are_dealt_to_edges_in_turn() -> None:
    one, _, _, _ = deploy(topology="decentralized", num_edges=4)
    two, sent, _, _ = deploy(topology="decentralized", num_edges=4, num_teachers=2)
    assert len(sent.sizes(Kind.TEACHER)) == 4
    assert len({parcel.payload for parcel in sent.parcels}) == 2
    for edge, added in ((0, 0.0), (1, 1.0), (2, 0.0), (3, 1.0)):
        name = f"edge-{edge}/a"
        np.testing.assert_allclose(two.weights[name], one.weights[name] + added, rtol=1e-6)


def test_the_server_trains_a_student_per_teacher() -> None:
    one, _, _, trained_once = deploy(topology="centralized", num_edges=4)
    two, sent, _, trained_twice = deploy(topology="centralized", num_edges=4, num_teachers=2)
    assert (trained_once, trained_twice) == (EPOCHS, 2 * EPOCHS)
    assert one.metrics["bytes_over_air"] == two.metrics["bytes_over_air"]
    assert len({parcel.payload for parcel in sent.parcels}) == 2


def test_edges_of_one_family_get_one_student() -> None:
    _, _, _, same = deploy(topology="centralized", num_edges=4)
    _, _, _, mixed = deploy(topology="centralized", num_edges=4, edge_families="mixed")
    assert same == EPOCHS
    assert mixed == EPOCHS + EPOCHS + 1


def test_without_a_network_the_task_trains_alone_and_nothing_is_sent() -> None:
    result, sent, _, reports = deploy(topology="none")
    assert result.metrics == {"val_error": 1.0}
    assert reports == EPOCHS
    assert not sent.parcels


def test_a_message_that_a_node_refuses_fails_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Node.handle

    def changed(node: Node, sender: str, payload: bytes, seal: bytes = b"") -> Any:
        if sender == "server":
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        return handle(node, sender, payload, seal)

    monkeypatch.setattr(Node, "handle", changed)
    with pytest.raises(WorkFailedError, match="edge-0 rejected a message of server") as caught:
        deploy(topology="centralized")
    assert caught.value.kind is FailureKind.MESSAGE


def test_a_failing_node_fails_the_trial_with_its_reason() -> None:
    with pytest.raises(WorkFailedError, match="RuntimeError: edge-1 cannot learn") as caught:
        deploy(topology="decentralized", num_edges=2, fail="edge-1")
    assert "second line" in caught.value.traceback


def test_slower_links_and_edges_take_longer_by_the_law() -> None:
    fields: dict[str, Any] = {"topology": "decentralized", "num_edges": 1, "link_delay_ms": 0.0}
    fast, sent, _, _ = deploy(**fields, link_rate_mbps=8.0, edge_gflops=1.0)
    bits = 8 * sum(sent.sizes(Kind.TEACHER))
    flops = fast.metrics["edge_train_gflop"] * 1e9
    assert fast.metrics["deployment_s"] == pytest.approx(bits / 8e6 + flops / 1e9)
    assert fast.metrics["energy_j"] == pytest.approx(bits * 100e-9)
    slow, _, _, _ = deploy(**fields, link_rate_mbps=4.0, edge_gflops=0.5)
    assert slow.metrics["deployment_s"] == pytest.approx(2 * fast.metrics["deployment_s"])


def test_a_link_carries_one_parcel_at_a_time() -> None:
    fields: dict[str, Any] = {"link_rate_mbps": 0.1, "edge_gflops": 1e6, "server_gflops": 1e6}
    result, sent, _, _ = deploy(topology="decentralized", method="pairs", num_edges=2, **fields)
    for way in ("server", "edge-0"):
        ends = {"server": "edge-0", "edge-0": "server"}
        bits = 8 * sum(
            len(p.payload) for p in sent.parcels if (p.sender, p.receiver) == (way, ends[way])
        )
        assert result.metrics["deployment_s"] > bits / 1e5
    both_ways = 8 * sum(len(p.payload) for p in sent.parcels if "edge-0" in (p.sender, p.receiver))
    assert result.metrics["deployment_s"] == pytest.approx(both_ways / 1e5, rel=0.05)


def test_edges_of_mixed_resources_are_slower_in_turn() -> None:
    fields: dict[str, Any] = {"topology": "self", "rounds": 1, "num_edges": 2, "edge_gflops": 1e-6}
    fields |= {"two_sided": False}  # so that nothing is sent
    same, _, _, _ = deploy(**fields)
    mixed, _, _, _ = deploy(**fields, edge_resources="mixed")
    assert mixed.metrics["deployment_s"] == pytest.approx(2 * same.metrics["deployment_s"])


TOPOLOGIES = st.fixed_dictionaries(
    {
        "topology": st.sampled_from(
            ["centralized", "decentralized", "semi-centralized", "mutual", "self"]
        ),
        "method": st.sampled_from(["kd", "vanilla", "pairs"]),
        "num_edges": st.integers(1, 6),
        "edge_families": st.sampled_from(["same", "mixed"]),
        "two_sided": st.booleans(),
        "num_teachers": st.integers(1, 3),
        "uploads": st.integers(0, 2),
        "rounds": st.integers(1, 3),
        "rehearsal_share": st.sampled_from([0.0, 0.5]),
        "rehearsal_source": st.sampled_from(["global", "synthetic"]),
        "anchor": st.sampled_from(["student", "server"]),
        "anchor_weight": st.sampled_from([0.0, 0.5]),
        "exchange_bits": st.sampled_from([0, 3, 8]),
        "link_loss": st.floats(0.0, 0.9),
        "seed": st.integers(0, 3),
    }
)


@settings(max_examples=times(60), deadline=None)
@given(TOPOLOGIES)
def test_bytes_are_conserved_whatever_the_topology_and_the_losses(fields: dict[str, Any]) -> None:
    if fields["method"] == "pairs":
        fields = {**fields, "two_sided": True}
    result, sent, _, _ = deploy(**fields)
    metrics = result.metrics
    received = sum(len(parcel.payload) for parcel in sent.parcels)
    assert metrics["bytes_over_air"] == received + metrics["bytes_lost"]
    assert metrics["bytes_over_air"] == metrics["bytes_down"] + metrics["bytes_up"]
    assert sent.received.total() == received  # at the other end, too
    kinds = [metrics[f"edge_{kind.value}_bytes"] for kind in Kind]
    assert sum(kinds) == pytest.approx(metrics["edge_bytes"])
    assert metrics["edge_bytes"] * fields["num_edges"] == pytest.approx(metrics["bytes_over_air"])
    own = [p for p in sent.parcels if p.sender != "server" and p.kind is Kind.SAMPLES]
    assert metrics["raw_samples_up"] == sum(parcel.raw_samples for parcel in own)
    again, _, _, _ = deploy(**fields)
    assert again.metrics == result.metrics
    assert all(np.array_equal(again.weights[name], a) for name, a in result.weights.items())


@pytest.mark.parametrize("topology", ["centralized", "decentralized", "semi-centralized", "mutual"])
def test_signatures_cost_their_bytes_and_change_no_student(topology: str) -> None:
    plain, sent, _, _ = deploy(topology=topology, num_edges=3)
    signed, _, _, _ = deploy(topology=topology, num_edges=3, sign_messages=True)
    ours, theirs = signed.metrics, plain.metrics
    assert ours["bytes_over_air"] - theirs["bytes_over_air"] == SEAL_BYTES * len(sent.parcels)
    assert ours["edge_signature_bytes"] == SEAL_BYTES * len(sent.parcels) / 3
    assert theirs["edge_signature_bytes"] == 0
    assert ours["val_error"] == theirs["val_error"]
    assert_same_arrays(signed.weights, plain.weights)
