"""Runs a trial in a network: drives its topology, forwards parcels and adds up costs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from numpy.typing import NDArray

from kdtasks.contract.collaboration import joined
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.gaussian_mechanism import guarantee
from kdtasks.contract.params import Params
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import KDTask, Outcome, Report
from kdtasks.network.parts import Part
from kdtasks.network.task import NetworkTask, parts_of
from sweeps.common.events import Training, WorkFailedError
from sweeps.common.records import FailureKind
from sweeps.nodes.node import REJECTED
from sweeps.nodes.robust.findings import poisoning_metrics
from sweeps.nodes.topologies.base import Scene
from sweeps.nodes.topologies.catalog import collaborative, topology_of
from sweeps.nodes.transport import Transport
from sweeps.nodes.underway import Underway, costs_of
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Message, Parcel

Deploy: TypeAlias = Callable[[Params, str], Transport]
"""Creates the nodes of one task of a trial, given its parameters and its name, see `Part`."""


def conduct_all(
    task: KDTask, params: Params, deploy: Deploy, rungs: Sequence[float] = ()
) -> Training[tuple[Outcome, float]]:
    """Train and deploy the students of a trial, in a network of tasks one task after the other.

    Returns:
        The outcome, see `conduct`, and the CPU time of all nodes [s].
    """
    parts = parts_of(task, params)
    found: dict[str, Outcome] = {}
    done, cpu_s = 0, 0.0
    for number, part in enumerate(parts):
        transport = deploy(part.params, part.name)
        left = sum(map(_planned, parts[number + 1 :]))
        work = conduct(part.task, part.params, transport, rungs)
        found[part.name], done = yield from _counted(work, part, done, left)
        cpu_s += transport.cpu_s
    return task.together(params, found) if isinstance(task, NetworkTask) else found[""], cpu_s


def _planned(part: Part) -> int:
    """Return how many epochs a task will report; one for all if only its end is planned."""
    if NetworkSettings.of(part.params).networked:
        return topology_of(part.task, part.params).epochs()
    return int(part.params.get("epochs", 1))


def _counted(
    work: Training[Outcome], part: Part, before: int, left: int
) -> Training[tuple[Outcome, int]]:
    """Report the epochs of a task behind those of others; return all that are done then."""
    done = before

    def behind(report: Report) -> Report:
        nonlocal done
        done = before + report.epoch
        metrics = part.metrics_outside(report.metrics) if part.name else report.metrics
        return replace(report, epoch=done, epochs=before + report.epochs + left, metrics=metrics)

    outcome = yield from forwarded(work, behind)
    return outcome, done


def conduct(
    task: KDTask, params: Params, transport: Transport, rungs: Sequence[float] = ()
) -> Training[Outcome]:
    """Train and deploy the students of a trial; judge those of a network at ``rungs`` as well.

    Rungs are shares of the training, ascending, see `sweeps.nodes.underway`.

    Returns:
        The trial's metrics, and the students of all edges under ``edge-0/tensor``; if the edges
        trained them further, also as received, under ``received-0/tensor``, and where students on
        the way are judged, these after so many steps, under ``after-5-0/tensor``. Without a
        network, the result of the task's training.

    Raises:
        ConfigError: If the task cannot run the topology.
        WorkFailedError: If a node fails or refuses a message.
    """
    settings = NetworkSettings.of(params)
    if not settings.networked:
        return (yield from transport.alone())
    topology = topology_of(task, params)
    steps, scene = topology.steps(), topology.scene
    underway = Underway(collaborative(task, params), params, transport, topology, rungs)
    parcels = next(steps)
    while True:
        answers = yield from underway.exchange(parcels)
        _checked(answers, scene.key)
        try:
            parcels = steps.send(answers)
        except StopIteration:
            break
    costs = costs_of(transport.accounts, topology)
    found = yield from _findings(underway, scene)
    weights = yield from _collect(underway, scene)
    judged = yield from transport.judge(weights)
    metrics = {**judged, **costs, **found, **guarantee(settings)}
    return Outcome(metrics=metrics, weights=weights)


def _checked(parcels: Iterable[Parcel], key: str) -> list[Message]:
    """Return the messages to the conductor among some; fail if a node rejected one."""
    payloads = [parcel.payload for parcel in parcels if parcel.receiver == CONDUCTOR]
    messages = [Message.from_bytes(payload, deployment=key) for payload in payloads]
    for message in messages:
        if message.subject == REJECTED:
            reason = f"MessageError: {message.facts['reason']}"
            raise WorkFailedError(reason, kind=FailureKind.MESSAGE)
    return messages


def _ordered(underway: Underway, scene: Scene, subject: str) -> Training[list[Message]]:
    """Give all nodes an order, and return what they tell the conductor."""
    order = scene.order([SERVER, *scene.settings.edges], subject)
    return _checked((yield from underway.exchange(order)), scene.key)


def _collect(underway: Underway, scene: Scene) -> Training[dict[str, NDArray[Any]]]:
    """Assemble every edge's student from its parts at the edge and at the server."""
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for message in (yield from _ordered(underway, scene, "collect")):
        edge = str(message.facts["edge"])
        role = "edge" if message.subject == "collected" else message.subject
        node = edge.replace("edge", role)
        parts.setdefault(node, {}).update(message.arrays)
    return joined(parts)


def _findings(underway: Underway, scene: Scene) -> Training[dict[str, float]]:
    """Return how well nodes defended themselves, if there is anything to defend against."""
    if not scene.settings.watched:
        return {}
    found = yield from _ordered(underway, scene, "report-findings")
    return poisoning_metrics(scene.settings, [message.facts for message in found])
