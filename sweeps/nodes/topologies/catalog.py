"""From a trial's parameters to the strategy of its topology."""

from kdtasks.contract.collaboration import CollaborativeTask
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params, fingerprint
from sweeps.nodes.topologies.base import Scene, Topology, groups
from sweeps.nodes.topologies.centralized import Centralized
from sweeps.nodes.topologies.decentralized import Decentralized, PairExchange
from sweeps.nodes.topologies.peer import Mutual, SelfDistillation
from sweeps.nodes.topologies.semi_centralized import SemiCentralized

TOPOLOGIES: dict[str, type[Topology]] = {
    "centralized": Centralized,
    "decentralized": Decentralized,
    "semi-centralized": SemiCentralized,
    "mutual": Mutual,
    "self": SelfDistillation,
}


def topology_of(task: CollaborativeTask, params: Params) -> Topology:
    """Return the strategy of a trial with these completed parameters."""
    settings = NetworkSettings.of(params)
    scene = Scene(
        settings=settings,
        key=fingerprint(params),
        teacher=task.teacher_fingerprint(params) is not None,
        families=len(set(groups(task, params))),
        learn_epochs=task.planned_epochs(params),
    )
    if settings.topology == "decentralized" and task.transfer(params) == "pairs":
        return PairExchange(scene)
    return TOPOLOGIES[settings.topology](scene)
