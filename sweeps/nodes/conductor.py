"""Runs a trial in a network: drives its topology, forwards parcels and adds up costs."""

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from kdtasks.contract.collaboration import joined
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params
from kdtasks.contract.task import KDTask, Outcome, Report
from sweeps.common.events import Training, WorkFailedError
from sweeps.common.records import FailureKind
from sweeps.nodes.node import REJECTED
from sweeps.nodes.topologies.base import Topology
from sweeps.nodes.topologies.catalog import topology_of
from sweeps.nodes.transport import Accounts, Transport
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message, Parcel


def conduct(task: KDTask, params: Params, transport: Transport) -> Training[Outcome]:
    """Train and deploy the students of a trial.

    Returns:
        The trial's metrics, and the students of all edges under ``edge-0/tensor``; if the edges
        trained them further, also as received, under ``received-0/tensor``. Without a network, the
        result of the task's training.

    Raises:
        ConfigError: If the task cannot run the topology.
        WorkFailedError: If a node fails or refuses a message.
    """
    settings = NetworkSettings.of(params)
    if not settings.networked:
        return (yield from transport.alone())
    topology = topology_of(task, params)
    steps, planned = topology.steps(), topology.epochs()
    counter = _Counter(planned)
    parcels = next(steps)
    while True:
        answers = yield from counter.count(transport.exchange(parcels))
        _check(answers, topology.scene.key)
        try:
            parcels = steps.send(answers)
        except StopIteration:
            break
    costs = _costs(transport.accounts, topology)
    weights = yield from counter.count(_collect(transport, topology.scene.key, settings))
    judged = yield from transport.judge(weights)
    return Outcome(metrics={**judged, **costs}, weights=weights)


class _Counter:
    """Numbers the epochs of all nodes consecutively."""

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._done = 0

    def count(self, work: Training[Any]) -> Training[Any]:
        try:
            while True:
                report = next(work)
                self._done += 1
                yield Report(
                    epoch=self._done,
                    epochs=max(self._planned, self._done),
                    # the scores of one node are not those of the deployment
                    metrics={n: v for n, v in report.metrics.items() if not n.startswith("val_")},
                )
        except StopIteration as stop:
            return stop.value


def _check(parcels: Iterable[Parcel], key: str) -> None:
    notes = [p for p in parcels if p.receiver == CONDUCTOR and p.kind is Kind.CONTROL]
    for message in _messages(notes, key):
        if message.subject == REJECTED:
            reason = f"MessageError: {message.facts['reason']}"
            raise WorkFailedError(reason, kind=FailureKind.MESSAGE)


def _collect(
    transport: Transport, key: str, settings: NetworkSettings
) -> Generator[Report, None, dict[str, NDArray[Any]]]:
    """Assemble every edge's student from its parts at the edge and at the server."""
    order = Message(kind=Kind.CONTROL, subject="collect", deployment=key)
    nodes = [SERVER, *settings.edges]
    found = yield from transport.exchange(Parcel.pack(CONDUCTOR, nodes, order))
    _check(found, key)
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for message in _messages(found, key):
        edge = str(message.facts["edge"])
        node = edge.replace("edge-", "received-") if message.subject == "received" else edge
        parts.setdefault(node, {}).update(message.arrays)
    return joined(parts)


def _messages(parcels: Sequence[Parcel], key: str) -> list[Message]:
    return [Message.from_bytes(parcel.payload, deployment=key) for parcel in parcels]


def _costs(accounts: Accounts, topology: Topology) -> dict[str, float]:
    edges = [accounts.work[edge] for edge in topology.scene.edges]
    server = accounts.work[SERVER]
    edge_gflop = sum(work.flops for work in edges) / len(edges) / 1e9
    server_gflop = server.flops / 1e9
    return {
        **accounts.traffic.metrics(),
        "deployment_s": accounts.now_s,
        "edge_train_core_seconds": sum(work.core_seconds for work in edges) / len(edges),
        "edge_train_gflop": edge_gflop,
        "edge_peak_bytes": max(work.peak_bytes for work in edges),
        "server_train_core_seconds": server.core_seconds,
        "server_train_gflop": server_gflop,
        "train_gflop": edge_gflop + server_gflop / topology.students_at_server,
        "teacher_forward_samples": float(sum(w.teacher_samples for w in accounts.work.values())),
    }
