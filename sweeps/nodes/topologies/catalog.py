"""Selects the topology for a trial's parameters, if the task can run it."""

from collections.abc import Sequence
from dataclasses import replace

from kdtasks.contract.collaboration import ExchangesPairs, LearnsOnShares
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.policy import EdgeTopology
from kdtasks.contract.task import KDTask
from sweeps.nodes.topologies.base import (
    CapabilityError,
    Scene,
    Serving,
    Topology,
    alike,
    groups,
    own_params,
    server_params,
)
from sweeps.nodes.topologies.centralized import Centralized
from sweeps.nodes.topologies.decentralized import Decentralized, LocalTraining, PairExchange
from sweeps.nodes.topologies.peer import Mutual, SelfDistillation
from sweeps.nodes.topologies.per_edge import PerEdge
from sweeps.nodes.topologies.refusals import MEASURING, NOISING, check_poisoning, check_privacy
from sweeps.nodes.topologies.semi_centralized import SemiCentralized

TOPOLOGIES: tuple[type[Topology], ...] = (
    Centralized,
    LocalTraining,
    Decentralized,
    PairExchange,
    SemiCentralized,
    Mutual,
    SelfDistillation,
    PerEdge,
)

TURNS: tuple[EdgeTopology, ...] = ("decentralized", "centralized", "semi-centralized")
"""Order in which topologies of single edges take turns; the first waits for no training."""


def collaborative(task: KDTask, params: Params) -> LearnsOnShares:
    """Return the task if it can run the deployment of its completed parameters.

    Raises:
        CapabilityError: If it cannot; names the parameter, and the capability and what to add, or
            what would be accepted.
    """
    settings, strategy = NetworkSettings.of(params), _strategy(task, params)
    check_poisoning(strategy, settings)
    check_privacy(strategy, settings)
    for need in (*strategy.needs, MEASURING, *NOISING):
        if need.when(settings) and not isinstance(task, need.capability):
            settled = {"topology": settings.topology, need.parameter: None}
            settled = {name: getattr(settings, name) for name in settled}
            shown = " with ".join(f"{name}={value!r}" for name, value in settled.items())
            raise CapabilityError(
                f"{shown} needs the capability {need.capability.__name__}, which task {task.name} "
                f"lacks: {_remedy(task, need.capability)}, or choose another topology; it can run "
                f"{', '.join(runnable(task))}",
                need.parameter,
            )
    assert isinstance(task, LearnsOnShares)
    if settings.topology == "per-edge":
        _check_each(task, params, settings)
    return task


def _check_each(task: LearnsOnShares, params: Params, settings: NetworkSettings) -> None:
    """Check what the topologies of single edges need."""
    if not settings.served:
        raise CapabilityError(
            f"policy={settings.policy!r}: task {task.name} does not know what training takes of an "
            "edge: set edge_topologies instead",
            "policy",
        )
    for topology in {*settings.served}:
        own = alike(task, params, topology)
        if _strategy(task, own) is PairExchange:
            raise CapabilityError(
                "edge_topologies: the method teaches decentralized edges by pairs, all or none: "
                "take topology decentralized, or a method that sends the teacher",
                "edge_topologies",
            )
        collaborative(task, own)


def topology_of(task: KDTask, params: Params) -> Topology:
    """Return the topology of a trial with these completed parameters.

    Raises:
        CapabilityError: If the task cannot run it.
    """
    learner, settings = collaborative(task, params), NetworkSettings.of(params)
    trained = server_params(learner, params, own_params(learner, params))
    each = groups(settings, trained)
    group = dict(zip(settings.edges, each, strict=True))

    def scene(own: Params, edges: Sequence[str]) -> Scene:
        return Scene(
            settings=NetworkSettings.of(own),
            key=fingerprint(params),
            edges=tuple(edges),
            families=len({group[edge] for edge in edges}),
            learn_epochs=learner.planned_epochs(own),
        )

    if settings.topology != "per-edge":
        return _strategy(task, params)(scene(params, settings.edges))
    parts = []
    for topology in TURNS:
        if edges := settings.served_by(topology):
            own = alike(learner, params, topology)
            serving = _strategy(task, own)
            assert issubclass(serving, Serving), "it is the topology of a single edge"
            parts.append(serving(scene(own, edges)))
    begun = [edge for part in parts if part.begins_at_server for edge in part.scene.edges]
    first = scene(alike(learner, params, "centralized"), begun) if begun else None
    whole = replace(parts[0].scene, settings=settings, edges=settings.edges)
    return PerEdge(whole, parts=tuple(parts), begun=first)


def _strategy(task: KDTask, params: Params) -> type[Topology]:
    title = NetworkSettings.of(params).topology
    if title == "decentralized":
        if isinstance(task, ExchangesPairs) and task.sends_pairs(params):
            return PairExchange
        if task.teacher_fingerprint(params) is None:
            return LocalTraining
    return next(topology for topology in TOPOLOGIES if topology.title == title)


def _remedy(task: KDTask, capability: type[LearnsOnShares]) -> str:
    methods = sorted(n for n in capability.__abstractmethods__ if not hasattr(type(task), n))
    return (
        f"derive its class from {capability.__module__}.{capability.__name__} and add "
        f"{', '.join(methods)}"
    )


def runnable(task: KDTask) -> list[str]:
    """Return the topologies that a task can run."""
    able = (
        topology.title
        for topology in TOPOLOGIES
        if all(isinstance(task, n.capability) for n in topology.needs if n.parameter == "topology")
    )
    return ["none", *able]


def remedies(task: KDTask) -> list[str]:
    """Return a line for each capability that a task lacks for other topologies."""
    lacking: dict[type[LearnsOnShares], list[str]] = {}
    for topology in TOPOLOGIES:
        for need in topology.needs:
            what = "" if need.parameter == "topology" else f" with {need.parameter}"
            # tasks without labels have none to flip
            if need.parameter != "attack" and not isinstance(task, need.capability):
                lacking.setdefault(need.capability, []).append(topology.title + what)
    if not isinstance(task, LearnsOnShares):
        lacking = {LearnsOnShares: lacking[LearnsOnShares]}
    return [f"  for {', '.join(names)}: {_remedy(task, c)}" for c, names in lacking.items()]
