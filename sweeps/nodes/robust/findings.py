"""What nodes found out about each other, which are unlike the others, and how much of it is true.

Nodes know nothing of who is hostile; only the conductor, which is the experiment, compares.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdtasks.contract.deployment import NetworkSettings
from sweeps.nodes.privacy.membership import auc

CONSISTENT = 0.6745
"""Third quartile of the standard normal distribution: MAD over this is its standard deviation."""

MOST_ERROR = 1e9
"""Errors are counted up to this: a message holds no infinite number."""

LEAST_SPREAD = 1e-9
"""Scores that are nearer to each other count as equal."""


def anomaly_scores(errors: Mapping[str, float]) -> dict[str, float]:
    r"""Return how much worse each node is than the others, in robust standard deviations.

    .. math:: M_k = 0.6745 \, \frac{x_k - \mathrm{med}(x)}{\mathrm{MAD}(x)}, \quad
              x_k = \ln e_k

    Logarithms, since errors of honest nodes differ by factors. Only nodes that are worse than the
    median have positive scores. Iglewicz and Hoaglin, "How to detect and handle outliers", ASQC
    1993, take nodes above 3.5 for outliers.

    Args:
        errors: Error of every node on the probe set, at least 0.
    """
    names, tiny = list(errors), np.finfo(np.float64).tiny
    logs = np.log(np.maximum([bounded(errors[name]) for name in names], tiny))
    away = logs - np.median(logs)
    spread = max(float(np.median(np.abs(away))), LEAST_SPREAD)
    return dict(zip(names, (CONSISTENT * away / spread).tolist(), strict=True))


def bounded(error: float) -> float:
    """Return an error, or `MOST_ERROR` if it is larger or not a number."""
    return error if error < MOST_ERROR else MOST_ERROR


def detection_auc(scores: Mapping[str, float], hostile: Set[str]) -> float | None:
    """Return `auc` of the scores of hostile nodes over honest ones; None without both kinds."""
    of_hostile = np.array([score for name, score in scores.items() if name in hostile])
    of_honest = np.array([score for name, score in scores.items() if name not in hostile])
    if not (len(of_hostile) and len(of_honest)):
        return None
    return auc(of_hostile, of_honest)


@dataclass(kw_only=True, slots=True)
class Findings:
    """What a node has found.

    Attributes:
        scores: Anomaly scores by edge, one per test.
        quarantined: Edges whose messages, or whose teachers, are not used.
        shifts: Root mean square distances of blended outputs from the mean of honest ones, over the
            standard deviation of that; one per blend.
    """

    scores: dict[str, list[float]] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    shifts: list[float] = field(default_factory=list)


def poisoning_metrics(
    settings: NetworkSettings, found: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """Return what there is of `POISONING_METRICS`, from facts of all nodes.

    An edge's score is the mean over its tests. Without a probe nothing was tested, and nothing is
    reported but the shift.
    """
    scores: dict[str, float] = {}
    quarantined: set[str] = set()
    shifts: list[float] = []
    for facts in found:
        scores |= {edge: sum(each) / len(each) for edge, each in facts["scores"].items()}
        quarantined |= {*facts["quarantined"]}
        shifts += facts["shifts"]
    poisoned = {*settings.poisoned} if settings.attack != "none" else set()
    metrics = {"blend_shift": sum(shifts) / len(shifts)} if shifts else {}
    if settings.defence != "probe":
        return metrics
    auc = detection_auc(scores, poisoned)
    return {
        **metrics,
        **({} if auc is None else {"detection_auc": auc}),
        "false_quarantines": float(len(quarantined - poisoned)),
        "missed_poisonings": float(len(poisoned - quarantined)),
    }
