"""What nodes found out about each other, and how much of it is true.

Nodes know nothing of who is hostile; only the conductor, which is the experiment, compares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdtasks.contract.deployment import NetworkSettings
from sweeps.nodes.robust.anomaly import detection_auc


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

    def facts(self) -> dict[str, Any]:
        """Return it as facts of a message."""
        return {"scores": self.scores, "quarantined": self.quarantined, "shifts": self.shifts}


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
