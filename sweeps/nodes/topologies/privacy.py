"""Of which deployments leaks can be measured: whatever makes no sense is refused by name."""

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.leakage import MeasuresLeaks
from sweeps.nodes.topologies.base import CapabilityError, Need, Topology

MEASURING = Need(MeasuresLeaks, "privacy_share", lambda settings: settings.privacy_share > 0)
"""Leaks that are to be measured."""


def check_privacy(strategy: type[Topology], settings: NetworkSettings) -> None:
    """Check the parameters about privacy against a topology.

    Raises:
        CapabilityError: Naming the parameter, its value and what would be accepted.
    """
    problem = _unmeasurable(strategy, settings) if settings.privacy_share else ""
    if problem:
        raise CapabilityError(
            f"privacy_share={settings.privacy_share:g}: {problem}", "privacy_share"
        )


def _unmeasurable(strategy: type[Topology], settings: NetworkSettings) -> str:
    """Return why leaks cannot be measured, and what to do; empty if they can."""
    if not strategy.leaks:
        return (
            f"topology {strategy.title} is not measured: take centralized, semi-centralized, "
            "decentralized with a teacher that is sent, or mutual"
        )
    if settings.edge_families == "mixed":
        return "shadow models are of one kind of student: set edge_families to same"
    if settings.uploads:
        return "edges send the samples themselves, there is nothing to infer: set uploads to 0"
    if settings.rehearses and settings.rehearsal_source == "global":
        return "the server sends its samples, there is nothing to infer: rehearse synthetic ones"
    if settings.topology == "mutual" and settings.rounds == 1:
        return "edges send no outputs in the last of their rounds: take 2 or more"
    return ""
