"""What edges of a deployment have, what training takes there, and what the server makes of it."""

import math
from collections.abc import Callable, Iterable
from typing import TypeVar, get_args

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.policy import Demand, Means, Rule, Trained, choose

S = TypeVar("S", bound=NetworkSettings)


def check_edge_memory(
    settings: NetworkSettings, families: Iterable[float], advice: str, detail: str = ""
) -> None:
    """Refuse a deployment in which an edge lacks memory to train.

    Args:
        settings: The deployment. Nothing is asked of ``families`` where there is no limit.
        families: What training takes with each family of students [B]; edge k is of family k modulo
            their number.
        advice: What to change, beside the topology.
        detail: More about what training takes.

    Raises:
        ConfigError: Naming the edge that lacks most, what it has and what training takes there.
    """
    limit_mb = settings.edge_memory_mb
    if limit_mb <= 0.0:
        return
    each_mb = [taken / 1e6 for taken in families]

    def needs_mb(edge: int) -> float:
        return each_mb[edge % len(each_mb)]

    edge = max(range(settings.num_edges), key=lambda k: needs_mb(k) / settings.memory_share(k))
    share = settings.memory_share(edge)
    # A quotient, as in the order of edges: what just fits shall not fail by rounding.
    if needs_mb(edge) / share > limit_mb:
        topology, remedy = settings.topology, "take topology centralized"
        if topology == "per-edge" and settings.served:  # else the task has no policy to choose them
            topology, remedy = settings.served[edge], "give this edge centralized"
        raise ConfigError(
            f"edge_memory_mb={limit_mb:g}: edge {edge} has {limit_mb * share:g} MB, and training "
            f"there takes {needs_mb(edge):.3g} MB with topology {topology}{detail}: "
            f"{advice}, or {remedy}"
        )


def with_choices(
    settings: S, samples_of: Callable[[int], int], demand_of: Callable[[Trained, int], Demand]
) -> S:
    """Return a deployment with the topologies that its policy chooses, if it has one.

    Args:
        settings: The deployment.
        samples_of: Returns about how many training samples an edge has.
        demand_of: Returns what training takes of an edge.

    Raises:
        ConfigError: If ``edge_topologies`` are given, and other ones.
    """
    if settings.topology != "per-edge" or settings.policy == "none":
        return settings
    rule = Rule(
        deadline_s=settings.policy_deadline_s or math.inf,
        samples=settings.policy_samples,
        fresh=settings.policy_fresh,
        stale=settings.policy_stale,
    )
    chosen = " ".join(
        choose(
            _means(settings, edge, samples_of(edge)),
            {topology: demand_of(topology, edge) for topology in get_args(Trained)},
            rule,
        )
        for edge in range(settings.num_edges)
    )
    if settings.edge_topologies not in ("", chosen):
        raise ConfigError(
            f"edge_topologies={settings.edge_topologies!r}, but policy={settings.policy!r} chooses "
            f"{chosen!r}: leave one of the two out"
        )
    return settings.model_copy(update={"edge_topologies": chosen})


def _means(settings: NetworkSettings, edge: int, samples: int) -> Means:
    limit_mb = settings.edge_memory_mb or math.inf
    return Means(
        memory_bytes=1e6 * limit_mb * settings.memory_share(edge),
        flops=1e9 * settings.speed_gflops(edge),
        link_bps=1e6 * settings.rate_mbps(edge),
        samples=samples,
        age=settings.server_age,
    )
