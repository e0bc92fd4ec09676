"""Selects the topology for a trial's parameters, if the task can run it."""

from kdtasks.contract.collaboration import ExchangesPairs, LearnsOnShares
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.task import KDTask
from sweeps.nodes.topologies.base import CapabilityError, Scene, Topology, groups
from sweeps.nodes.topologies.centralized import Centralized
from sweeps.nodes.topologies.decentralized import Decentralized, LocalTraining, PairExchange
from sweeps.nodes.topologies.peer import Mutual, SelfDistillation
from sweeps.nodes.topologies.poisoning import check_poisoning
from sweeps.nodes.topologies.semi_centralized import SemiCentralized

TOPOLOGIES: tuple[type[Topology], ...] = (
    Centralized,
    LocalTraining,
    Decentralized,
    PairExchange,
    SemiCentralized,
    Mutual,
    SelfDistillation,
)


def collaborative(task: KDTask, params: Params) -> LearnsOnShares:
    """Return the task if it can run the deployment of its completed parameters.

    Raises:
        CapabilityError: If it cannot; names the parameter, and the capability and what to add, or
            what would be accepted.
    """
    settings, strategy = NetworkSettings.of(params), _strategy(task, params)
    check_poisoning(strategy, settings)
    for need in strategy.needs:
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
    return task


def topology_of(task: KDTask, params: Params) -> Topology:
    """Return the topology of a trial with these completed parameters.

    Raises:
        CapabilityError: If the task cannot run it.
    """
    learner, settings = collaborative(task, params), NetworkSettings.of(params)
    scene = Scene(
        settings=settings,
        key=fingerprint(params),
        families=len(set(groups(learner, params))),
        learn_epochs=learner.planned_epochs(params),
    )
    return _strategy(task, params)(scene)


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


def described(task: KDTask) -> str:
    """Return the topologies that a task can run, and a line per missing capability of others."""
    lacking: dict[type[LearnsOnShares], list[str]] = {}
    for topology in TOPOLOGIES:
        for need in topology.needs:
            what = "" if need.parameter == "topology" else f" with {need.parameter}"
            # tasks without labels have none to flip
            if need.parameter != "attack" and not isinstance(task, need.capability):
                lacking.setdefault(need.capability, []).append(topology.title + what)
    if not isinstance(task, LearnsOnShares):
        lacking = {LearnsOnShares: lacking[LearnsOnShares]}
    return "\n".join(
        [
            f"topologies: {', '.join(runnable(task))}",
            *(f"  for {', '.join(names)}: {_remedy(task, c)}" for c, names in lacking.items()),
        ]
    )
