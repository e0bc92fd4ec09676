"""Of which deployments leaks can be measured, and which can have noise; others are refused."""

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.gaussian_mechanism import mechanism_of
from kdtasks.contract.leakage import MeasuresLeaks, NoisesExtras, NoisesStatistics
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
    name = "dp_sigma" if settings.dp_sigma else "dp_epsilon"
    if getattr(settings, name) and (problem := _without_noise(settings)):
        raise CapabilityError(f"{name}={getattr(settings, name):g}: {problem}", name)


def _without_noise(settings: NetworkSettings) -> str:
    """Return why nothing is sent with noise, and what to do; empty if something is."""
    if settings.dp_sigma and settings.dp_epsilon:
        return f"dp_epsilon={settings.dp_epsilon:g} sets the noise, too: leave one of them at 0"
    if settings.topology == "mutual":
        return "" if settings.rounds > 1 else "with one round edges send no outputs: take 2 or more"
    if not (settings.topology == "decentralized" or _synthetic(settings)):
        return (
            "students, teachers and samples are sent without noise, which would promise what it "
            "does not keep: take topology mutual, semi-centralized with synthetic rehearsal, or "
            "decentralized without data"
        )
    if settings.edge_families == "mixed" or settings.num_teachers > 1:
        return "statistics are of one student: set edge_families to same and num_teachers to 1"
    return ""


def _synthetic(settings: NetworkSettings) -> bool:
    every = settings.topology == "semi-centralized" and settings.rehearses
    return every and settings.rehearsal_source == "synthetic"


def _noisy(settings: NetworkSettings) -> bool:
    return mechanism_of(settings) is not None


NOISING = (
    Need(MeasuresLeaks, "dp_sigma", lambda s: s.topology == "mutual" and _noisy(s)),
    Need(NoisesStatistics, "dp_sigma", lambda s: _synthetic(s) and _noisy(s)),
    Need(NoisesExtras, "dp_sigma", lambda s: s.topology == "decentralized" and _noisy(s)),
)
"""Outputs or statistics that are sent with noise."""


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
