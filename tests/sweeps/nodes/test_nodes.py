"""Nodes act on what they can check; everything else is refused, counted and changes nothing."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_network import ToyNetworkTask

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import UserError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Arrays
from sweeps.nodes.edge import EdgeNode
from sweeps.nodes.node import REJECTED, Deployment, Node
from sweeps.nodes.robust.attacks import false_teacher
from sweeps.nodes.server import ServerNode
from sweeps.nodes.wire.messages import Kind, Message, Parcel
from sweeps.nodes.wire.signatures import Signer

TASK = ToyNetworkTask()
DATA = TASK.load_scenario({}, cache_dir=Path(), progress=lambda *_: None)


def deployment(**changes: Any) -> Deployment:
    params = TASK.complete({"num_edges": 2, "proxy_samples": 10, **changes})
    settings = NetworkSettings.of(params)
    return Deployment(task=TASK, params=params, settings=settings, key=fingerprint(params))


def edge(**changes: Any) -> EdgeNode:
    scene = deployment(**changes)
    return EdgeNode(0, scene, TASK.share_out(scene.params, DATA.train, "train").edges[0])


def server(**changes: Any) -> ServerNode:
    scene = deployment(**changes)
    shares = TASK.share_out(scene.params, DATA.train, "train")
    poisoned = partial(false_teacher, TASK, scene.params, DATA.train, DATA.val)
    return ServerNode("server", scene, shares.server, None, poisoned)


def answers(
    node: Node, kind: Kind, subject: str, arrays: Arrays | None = None, **facts: Any
) -> list[Parcel]:
    message = Message(
        kind=kind,
        subject=subject,
        deployment=node.deployment.key,
        arrays=arrays or {},
        facts=facts,
    )
    return handle(node, sender_of(node, kind, subject), message.to_bytes())


def sender_of(node: Node, kind: Kind, subject: str) -> str:
    """Return who would send such a message: orders are the conductor's."""
    if kind is Kind.CONTROL and subject not in ("samples-wanted", "rehearsal-wanted"):
        return "conductor"
    return "server" if isinstance(node, EdgeNode) else "edge-0"


def handle(node: Node, sender: str, payload: bytes, seal: bytes = b"") -> list[Parcel]:
    return result_of(node.handle(sender, payload, seal))[0]


def refusal(node: Node, parcels: list[Parcel]) -> str:
    """Return why a message was refused, which must be all that the node says."""
    (parcel,) = parcels
    message = Message.from_bytes(parcel.payload, deployment=node.deployment.key)
    assert (parcel.receiver, message.subject) == ("conductor", REJECTED)
    assert node.rejected == 1
    return str(message.facts["reason"])


def student(node: Node, **changes: Any) -> dict[str, Any]:
    weights = {"a": np.ones(3, dtype=np.float32), "b": np.zeros(1, dtype=np.float32)}
    return {**weights, **changes}


def test_an_edge_takes_a_student_whole_or_only_its_own_part() -> None:
    for arrays in (student(edge()), {"a": student(edge())["a"]}):
        node = edge()
        assert answers(node, Kind.MODEL, "student", arrays) == []
        assert node.rejected == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"a": np.ones(4, dtype=np.float32)}, "shape"),
        ({"a": np.ones(3, dtype=np.float64)}, "dtype"),
        ({"a": np.array([1, np.nan, 1], dtype=np.float32)}, "NaN"),
        ({"c": np.ones(3, dtype=np.float32)}, "c"),
    ],
)
def test_a_student_that_does_not_fit_is_refused(changes: Any, reason: str) -> None:
    node = edge()
    answers(node, Kind.MODEL, "student", student(node))
    before = {name: array.copy() for name, array in node._student.items()}
    answer = answers(node, Kind.MODEL, "student", student(node, **changes))
    assert reason in refusal(node, answer)
    assert all(np.array_equal(before[name], array) for name, array in node._student.items())


def test_a_foreign_deployment_is_refused() -> None:
    node = edge()
    message = Message(kind=Kind.MODEL, subject="student", deployment="other", arrays=student(node))
    assert "deployment" in refusal(node, handle(node, "server", message.to_bytes()))


def test_what_a_node_does_not_know_is_refused() -> None:
    node = edge()
    assert "'sing'" in refusal(node, answers(node, Kind.CONTROL, "sing"))


def test_a_server_serves_the_edges_of_its_deployment_only() -> None:
    node = server()
    message = Message(
        kind=Kind.SAMPLES,
        subject="upload",
        deployment=node.deployment.key,
        arrays={"x": np.zeros((2, 3), dtype=np.float32)},
    )
    assert "edge-7" in refusal(node, handle(node, "edge-7", message.to_bytes()))


def test_outputs_must_be_those_of_the_proxy_set() -> None:
    node = server(topology="mutual")
    answers(node, Kind.CONTROL, "send-proxy")
    answer = answers(node, Kind.OUTPUTS, "proxy", {"y": np.zeros(9, dtype=np.float32)})
    assert "their number here is 10" in refusal(node, answer)


@pytest.mark.parametrize(
    ("kind", "subject", "facts"),
    [
        (Kind.CONTROL, "mutual-round", {"round": 1}),
        (Kind.CONTROL, "mutual-round", {"speak": True, "round": -1}),
        (Kind.CONTROL, "self-round", {"round": True}),
        (Kind.CONTROL, "samples-wanted", {"upload": "x"}),
        (Kind.CONTROL, "samples-wanted", {"upload": -3}),
        (Kind.CONTROL, "fine-tune", {}),
        (Kind.CONTROL, "collect", {}),
        (Kind.FEATURES, "rehearsal", {}),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused(
    kind: Kind, subject: str, facts: dict[str, Any]
) -> None:
    node = edge(topology="semi-centralized", rehearsal_share=0.5)
    assert refusal(node, answers(node, kind, subject, **facts))
    assert not node._student


def test_pairs_of_different_numbers_are_refused() -> None:
    node = server(topology="decentralized", method="pairs")
    answers(node, Kind.SAMPLES, "answer", {"x": np.zeros((4, 3), dtype=np.float32)})
    answer = answers(node, Kind.OUTPUTS, "answer", {"code": np.zeros((5, 1), dtype=np.float32)})
    assert "about 5 samples" in refusal(node, answer)


def test_no_samples_are_no_samples() -> None:
    node = server(topology="centralized", uploads=1)
    answer = answers(node, Kind.SAMPLES, "upload", {"x": np.zeros((0, 3), dtype=np.float32)})
    assert "holds no samples" in refusal(node, answer)


@pytest.mark.parametrize("sender", ["edge-1", "server", "stranger"])
def test_a_node_takes_orders_from_the_conductor_alone(sender: str) -> None:
    node = edge()
    message = Message(kind=Kind.CONTROL, subject="train", deployment=node.deployment.key)
    assert sender in refusal(node, handle(node, sender, message.to_bytes()))


def test_an_edge_cannot_give_another_one_its_teacher() -> None:
    node = edge()
    message = Message(kind=Kind.TEACHER, subject="teacher", deployment=node.deployment.key)
    assert "edge-1" in refusal(node, handle(node, "edge-1", message.to_bytes()))


def test_what_cannot_be_sent_is_the_senders_fault() -> None:
    node = edge(topology="self", exchange_bits=8)
    with pytest.raises(UserError, match="edge-0 cannot send 'proxy'"):
        node.send(["server"], Kind.OUTPUTS, "proxy", {"y": np.array([np.nan], dtype=np.float32)})
    assert node.rejected == 0


def test_an_edge_without_pairs_is_an_error() -> None:
    node = edge(topology="decentralized", method="pairs")
    assert "no pairs" in refusal(node, answers(node, Kind.CONTROL, "train-on-pairs"))


def test_a_server_without_a_teacher_is_an_error() -> None:
    node = server(topology="decentralized")
    assert "no teacher" in refusal(node, answers(node, Kind.CONTROL, "send-teacher"))


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_message_that_was_changed_on_the_way_is_refused(place: int, change: int) -> None:
    node = edge()
    message = Message(
        kind=Kind.MODEL,
        subject="student",
        deployment=node.deployment.key,
        arrays=student(node),
    )
    payload = bytearray(message.to_bytes())
    payload[place % len(payload)] ^= change
    assert "server" in refusal(node, handle(node, "server", bytes(payload)))
    assert not node._student


def test_with_signatures_a_node_takes_a_message_once_and_from_its_sender_only() -> None:
    secret = b"of this trial"
    keys = {name: Signer(name, secret) for name in ("server", "edge-0", "edge-1")}
    public = {name: signer.public_key for name, signer in keys.items()}
    scene = replace(deployment(), public_keys=public)
    node = EdgeNode(0, scene, TASK.share_out(scene.params, DATA.train, "train").edges[0])
    message = Message(
        kind=Kind.MODEL, subject="student", deployment=scene.key, arrays=student(node)
    )
    payload = message.to_bytes()
    seals = {
        "does not match": b"",
        "signed by edge-1": keys["edge-1"].seal("edge-0", payload),
        "for edge-1, not edge-0": keys["server"].seal("edge-1", payload),
    }
    for count, (reason, seal) in enumerate(seals.items(), start=1):
        (note,) = handle(node, "server", payload, seal)
        facts = Message.from_bytes(note.payload, deployment=scene.key).facts
        assert "edge-0 rejected a message of server" in facts["reason"]
        assert reason in facts["reason"]
        assert node.rejected == count
        assert not node._student
    seal = keys["server"].seal("edge-0", payload)
    assert handle(node, "server", payload, seal) == []
    (note,) = handle(node, "server", payload, seal)
    assert "already" in Message.from_bytes(note.payload, deployment=scene.key).facts["reason"]
    assert node.rejected == 4
