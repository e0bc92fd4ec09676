"""Which attacks, defences, measurements and noise a deployment can have; others are refused."""

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.gaussian_mechanism import mechanism_of
from kdtasks.contract.leakage import MeasuresLeaks, NoisesExtras, NoisesStatistics
from sweeps.nodes.robust.rules import fewest_for_krum, fewest_for_trimmed_mean
from sweeps.nodes.topologies.base import CapabilityError, Need, Topology

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
