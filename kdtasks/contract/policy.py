"""Which topology the server gives an edge: a rule by what the edge has and what training takes.

Nguyen et al., "Knowledge Distillation for Collaborative Learning in Distributed Communications and
Sensing", section III.C, let the server choose by the requirements of each node and give no rule;
this one follows the order of their Table I. It knows nothing that is measured in training.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

EdgeTopology = Literal["centralized", "decentralized", "semi-centralized"]
"""Topologies of a single edge; in the others edges learn from each other, or without a server."""

EDGE_TOPOLOGIES: tuple[EdgeTopology, ...] = get_args(EdgeTopology)

Trained = Literal["decentralized", "semi-centralized"]
"""Those of them in which the edge trains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What an edge has.

    Attributes:
        memory_bytes: Memory for training [B]; infinite without a limit.
        flops: Speed [FLOP/s].
        link_bps: Rate of its link [bit/s].
        samples: Local training samples.
        age: Share of the site that has changed since the server saw it, in [0, 1].
    """

    memory_bytes: float = math.inf
    flops: float
    link_bps: float
    samples: int
    age: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a topology takes of an edge, as far as parameters decide it.

    Attributes:
        peak_bytes: Memory of training there [B].
        flop: Operations of training there.
        sent_bytes: Over its link, both ways, without headers [B].
    """

    peak_bytes: float = 0.0
    flop: float = 0.0
    sent_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Thresholds of `choose`.

    Attributes:
        deadline_s: Time that an edge may take to receive, train and send [s].
        samples: Fewest local samples that are worth training on.
        fresh: Greatest age at which the server's students are good enough as they are.
        stale: Age from which they are no longer worth starting from.
    """

    deadline_s: float = math.inf
    samples: int = 0
    fresh: float = 0.0
    stale: float = 1.0


def takes_s(means: Means, demand: Demand) -> float:
    """Return how long an edge is busy: ``8 sent_bytes / link_bps + flop / flops`` [s]."""
    return 8.0 * demand.sent_bytes / means.link_bps + demand.flop / means.flops


def affords(means: Means, demand: Demand, rule: Rule) -> bool:
    """Return whether an edge has the memory for a topology, and is ready within the deadline."""
    fits = demand.peak_bytes <= means.memory_bytes
    return fits and takes_s(means, demand) <= rule.deadline_s


def choose(means: Means, demands: Mapping[Trained, Demand], rule: Rule) -> EdgeTopology:
    """Return the topology of an edge.

    Centralized where the server's data are fresh, or local samples are few. Else the edge trains:
    from the server's student while this is worth it (semi-centralized), and else anew with its
    teacher (decentralized); the other one if it affords only that, centralized if neither.

    Args:
        means: What the edge has.
        demands: What either topology takes that trains at the edge.
        rule: The thresholds.
    """
    if means.age <= rule.fresh or means.samples < rule.samples:
        return "centralized"
    preferred: tuple[Trained, ...] = ("semi-centralized", "decentralized")
    if means.age >= rule.stale:
        preferred = ("decentralized", "semi-centralized")
    return next((one for one in preferred if affords(means, demands[one], rule)), "centralized")
