"""Which attacks and defences a deployment can have: whatever makes no sense is refused by name."""

from kdtasks.contract.deployment import NetworkSettings
from sweeps.nodes.robust.rules import fewest_for_krum, fewest_for_trimmed_mean
from sweeps.nodes.topologies.base import CapabilityError, Topology

FEWEST = {"trimmed-mean": fewest_for_trimmed_mean, "krum": fewest_for_krum}
"""Nodes that a rule needs, given how many of them may lie."""


def check_poisoning(strategy: type[Topology], settings: NetworkSettings) -> None:
    """Check the parameters about poisoning against a topology.

    Raises:
        CapabilityError: Naming the parameter, its value and what would be accepted.
    """
    if settings.poisoned_edges and not strategy.attacks:
        raise CapabilityError(
            f"poisoned_edges={settings.poisoned_edges}: there is no attack on topology "
            f"{strategy.title}: take mutual, or decentralized with a teacher that is sent, or "
            "leave it at 0",
            "poisoned_edges",
        )
    most = settings.num_edges - (1 if settings.topology == "mutual" else 0)
    if settings.poisoned_edges > most:
        raise CapabilityError(
            f"poisoned_edges={settings.poisoned_edges} of num_edges={settings.num_edges}: at most "
            f"{most}, so that there is a student to judge",
            "poisoned_edges",
        )
    for name, known in (("attack", strategy.attacks), ("defence", strategy.defences)):
        value = getattr(settings, name)
        if value != "none" and value not in known:
            others = ", ".join(["none", *known])
            raise CapabilityError(
                f"{name}={value!r} makes no sense with topology {strategy.title}: take one of "
                f"{others}",
                name,
            )
    _check_majority(settings)


def _check_majority(settings: NetworkSettings) -> None:
    """Check that a rule has enough nodes; an edge is sent a blend of all others."""
    if settings.defence not in FEWEST:
        return
    others, fewest = settings.num_edges - 1, FEWEST[settings.defence](settings.tolerated_edges)
    if others < fewest:
        raise CapabilityError(
            f"tolerated_edges={settings.tolerated_edges}: {settings.defence} needs outputs of "
            f"{fewest} other edges, and with num_edges={settings.num_edges} there are {others}: "
            f"raise num_edges to {fewest + 1}, or lower tolerated_edges",
            "tolerated_edges",
        )
