"""What the scores of beams mean, for every task that predicts them."""

from kdtasks.beam_format import NUM_SLOTS
from kdtasks.task import MetricInfo

SCORES = {
    "top1": "best beam is the first answer",
    "top2": "best beam is among the first 2 answers",
    "top3": "best beam is among the first 3 answers",
    "top5": "best beam is among the first 5 answers",
    "dba_top3": "distance-based accuracy of the nearest of 3 answers, as in the code of Table II",
    "dba_challenge": "distance-based accuracy of the DeepSense 6G challenge of 2022",
}
"""Scores of `kdtasks.beam_metrics`, here in percent."""


def score_infos() -> dict[str, MetricInfo]:
    """Describe every score on the validation split, of each slot and as their mean."""
    infos = {}
    for name, text in SCORES.items():
        slots = {f"_t{slot}": f", slot t{slot}" for slot in range(NUM_SLOTS)}
        for suffix, where in {"": ", mean over slots", **slots}.items():
            infos[f"val_{name}{suffix}"] = MetricInfo(
                unit="%", direction="maximize", description=text + where
            )
    return infos


def down(unit: str, description: str) -> MetricInfo:
    """Describe a number that had better be small."""
    return MetricInfo(unit=unit, direction="minimize", description=description)
