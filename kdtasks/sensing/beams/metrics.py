"""Beam-tracking metrics, slot by slot, as sums and counts that merge.

Shape suffixes in this file: B = samples, T = predicted slots, C = beams, K = beams in order.

What the scores of beams mean, for every task that predicts them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import MetricInfo
from kdtasks.learning.device import to_host
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.metrics import Ratio
from kdtasks.sensing.beams.format import CONDITIONS, NUM_SLOTS


def scores_of(
    logits_WTC: Tensor, label_WT: Tensor, condition_W: Tensor | None = None
) -> dict[str, float]:
    """Return scores by name [%]: those of `BeamScores.values`, and `top2_by_condition` if known."""
    found = beam_scores(logits_WTC, label_WT).values()
    if condition_W is not None:
        found |= top2_by_condition(logits_WTC, label_WT, condition_W)
    return {name: 100.0 * value for name, value in found.items()}


TOP_K = (1, 2, 3, 5)
"""How many beams may be tried until one is the best."""

BEAM_TOLERANCE = 5
"""Beams that an answer may be off until it is worth nothing in a distance-based accuracy."""

SlotRatios = tuple[Ratio, ...]
"""A mean for each slot, t0 first."""


@dataclass(frozen=True, slots=True)
class BeamScores:
    """Quality of predicted beams; ``+`` is associative and commutative.

    Attributes:
        slots: A mean per slot, by metric: ``top1``, ``top2``, ``top3``, ``top5``, ``dba_top3``,
            ``dba_challenge``. All are shares in [0, 1], and higher is better.
    """

    slots: dict[str, SlotRatios]

    def __add__(self, other: "BeamScores") -> "BeamScores":
        return BeamScores(
            {
                name: tuple(
                    ours + theirs for ours, theirs in zip(mine, other.slots[name], strict=True)
                )
                for name, mine in self.slots.items()
            }
        )

    def values(self) -> dict[str, float]:
        """Return every metric of every slot, ``top1_t0``, and their means over slots, ``top1``.

        Slots weigh equally in a mean, however many labels each of them has.

        Raises:
            ValueError: If a slot has no label.
        """
        found: dict[str, float] = {}
        for name, ratios in self.slots.items():
            each = [ratio.value for ratio in ratios]
            found[name] = sum(each) / len(each)
            found.update({f"{name}_t{slot}": value for slot, value in enumerate(each)})
        return found


def beam_scores(logits_BTC: Tensor, labels_BT: Tensor) -> BeamScores:
    """Score predicted beams by every metric of this module.

    Args:
        logits_BTC: Logits of the predicted slots only.
        labels_BT: Index of the best beam, or `IGNORED`, which is in no sum and no count.

    Raises:
        DataError: If a logit is not finite: the network diverged.
        ValueError: If shapes do not fit, or a label is negative and not `IGNORED`.
    """
    logits_BTC, labels_BT = to_host(logits_BTC), to_host(labels_BT)
    beams_BTK = best_beams(logits_BTC, max(TOP_K))
    scores = {f"top{k}": top_k(beams_BTK, labels_BT, k=k) for k in TOP_K}
    scores["dba_top3"] = dba_top3(beams_BTK, labels_BT)
    scores["dba_challenge"] = dba_challenge(beams_BTK, labels_BT)
    return BeamScores(scores)


def top2_by_condition(
    logits_BTC: Tensor, labels_BT: Tensor, condition_B: Tensor
) -> dict[str, float]:
    """Return the top-2 accuracy of each condition, ``top2_night``, mean over slots.

    A condition is left out if there is no sample of it, or none with a label in some slot.

    Args:
        logits_BTC: Logits of the predicted slots only.
        labels_BT: Index of the best beam, or `IGNORED`.
        condition_B: Condition of each sample; what is not in `CONDITIONS` is in no score.

    Raises:
        DataError: If a logit is not finite: the network diverged.
        ValueError: If shapes do not fit, or a label is negative and not `IGNORED`.
    """
    logits_BTC, labels_BT = to_host(logits_BTC), to_host(labels_BT)
    beams_BTK = best_beams(logits_BTC, 2)
    found = {}
    for name, number in CONDITIONS.items():
        of_it_B = condition_B == number
        ratios = top_k(beams_BTK[of_it_B], labels_BT[of_it_B], k=2)
        if all(ratio.count for ratio in ratios):
            found[f"top2_{name}"] = sum(ratio.value for ratio in ratios) / len(ratios)
    return found


def confidence_margins(logits_BTC: Tensor, labels_BT: Tensor) -> Tensor:
    r"""Return the logit of the probability of each window's best beams, shape [B].

    .. math:: \mathrm{mean}_t \ln \frac{p_t}{1 - p_t}, \quad
              p_t = \mathrm{softmax}(z_t)_{b_t}

    The mean is over slots with a label; NaN for a window without any.

    Source: Carlini et al., "Membership inference attacks from first principles", IEEE S&P 2022,
    eq. (4): among functions of a confidence this one is nearest to normal.

    Args:
        logits_BTC: Logits of the predicted slots only.
        labels_BT: Index of the best beam, or `IGNORED`.
    """
    known_BT = labels_BT != IGNORED
    own_BT1 = labels_BT.where(known_BT, 0)[..., None]
    logits = logits_BTC.double()
    own_BT = logits.gather(-1, own_BT1)[..., 0]
    others_BT = logits.scatter(-1, own_BT1, -torch.inf).logsumexp(-1)
    margins_BT = (own_BT - others_BT).where(known_BT, 0.0)
    return margins_BT.sum(-1) / known_BT.sum(-1)


def brier_score(logits_BTC: Tensor, labels_BT: Tensor) -> float:
    r"""Return the Brier score of predicted probabilities, mean over all slots with a label.

    .. math:: \mathrm{mean}_n \sum_c (p_{nc} - [c = b_n])^2

    0 is certain and right, 2 certain and wrong, 1 - 1/C uniform. Unlike a cross-entropy it is
    bounded, so that one confident error does not outweigh all others.

    Source: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78, 1950, eq. (2).

    Args:
        logits_BTC: Logits of the predicted slots only.
        labels_BT: Index of the best beam, or `IGNORED`, which is in no sum and no count.

    Returns:
        The score; infinite where a logit is not finite.

    Raises:
        ValueError: If no slot has a label.
    """
    known_BT = labels_BT != IGNORED
    if not bool(known_BT.any()):
        raise ValueError("the Brier score of no label is undefined")
    logits_NC = logits_BTC[known_BT].double()
    if not bool(torch.isfinite(logits_NC).all()):
        return math.inf
    wanted_NC = one_hot(labels_BT[known_BT].long(), logits_NC.shape[-1])
    return float((logits_NC.softmax(-1) - wanted_NC).square().sum(-1).mean())


def best_beams(logits_BTC: Tensor, num_beams: int) -> Tensor:
    """Return the beams of the largest logits, [B, T, K]: best first, the lower of equals first.

    Raises:
        DataError: If a logit is not finite: the network diverged.
    """
    if not bool(torch.isfinite(logits_BTC).all()):
        raise DataError("logits are not finite: a network that diverged")
    return logits_BTC.argsort(dim=-1, descending=True, stable=True)[..., :num_beams]


def top_k(beams_BTK: Tensor, labels_BT: Tensor, *, k: int) -> SlotRatios:
    """Return for each slot the share of samples whose best beam is among the first ``k``.

    Args:
        beams_BTK: Beams in order, as from `best_beams`; at least ``k`` of them.
        labels_BT: Index of the best beam, or `IGNORED`.
        k: Beams that may be tried.

    Raises:
        ValueError: If shapes do not fit.
    """
    return _per_slot(hits(beams_BTK, labels_BT, k=k).double(), labels_BT)


def hits(beams_BTK: Tensor, labels_BT: Tensor, *, k: int) -> Tensor:
    """Return whether the best beam is among the first ``k``, [B, T]; False where it is not known.

    Args:
        beams_BTK: Beams in order, as from `best_beams`; at least ``k`` of them.
        labels_BT: Index of the best beam, or `IGNORED`.
        k: Beams that may be tried.

    Raises:
        ValueError: If shapes do not fit, or a label is negative and not `IGNORED`.
    """
    _check(beams_BTK, labels_BT, k)
    # No beam has the number IGNORED.
    return (beams_BTK[..., :k] == labels_BT[..., None]).any(-1)


def dba_top3(beams_BTK: Tensor, labels_BT: Tensor) -> SlotRatios:
    r"""Distance-based accuracy as in the code of Table II, for each slot.

    .. math:: 1 - \mathrm{mean}_n \min\left(1, \min_{k \le 3} |\hat b_{nk} - b_n| / 5\right)

    The nearest of three answers counts. Beams do not wrap around.

    Args:
        beams_BTK: Beams in order, as from `best_beams`; at least 3.
        labels_BT: Index of the best beam, or `IGNORED`.

    Raises:
        ValueError: If shapes do not fit.
    """
    return _per_slot(_closeness(beams_BTK, labels_BT, 3), labels_BT)


def dba_challenge(beams_BTK: Tensor, labels_BT: Tensor) -> SlotRatios:
    r"""Distance-based accuracy of the DeepSense 6G challenge of 2022, for each slot.

    .. math:: \frac{Y_1 + Y_2 + Y_3}{3}, \quad
              Y_K = 1 - \mathrm{mean}_n \min\left(1, \min_{k \le K} |\hat b_{nk} - b_n| / 5\right)

    It is never above `dba_top3`, which is :math:`Y_3` alone.

    Args:
        beams_BTK: Beams in order, as from `best_beams`; at least 3.
        labels_BT: Index of the best beam, or `IGNORED`.

    Raises:
        ValueError: If shapes do not fit.
    """
    each = [_closeness(beams_BTK, labels_BT, k) for k in (1, 2, 3)]
    return _per_slot(torch.stack(each).mean(0), labels_BT)


def _closeness(beams_BTK: Tensor, labels_BT: Tensor, k: int) -> Tensor:
    """Return one minus the capped distance of the nearest of ``k`` beams, [B, T]."""
    _check(beams_BTK, labels_BT, k)
    away_BT = (beams_BTK[..., :k] - labels_BT[..., None]).abs().amin(-1)
    return 1.0 - (away_BT.double() / BEAM_TOLERANCE).clamp(max=1.0)


def _per_slot(score_BT: Tensor, labels_BT: Tensor) -> SlotRatios:
    """Return sum and count of scores for each slot, of samples with a label."""
    known_BT = labels_BT != IGNORED
    totals_T = torch.where(known_BT, score_BT, 0.0).sum(0).tolist()
    return tuple(map(Ratio, totals_T, known_BT.sum(0).tolist()))


def _check(beams_BTK: Tensor, labels_BT: Tensor, k: int) -> None:
    if beams_BTK.shape[:-1] != labels_BT.shape or labels_BT.ndim != 2:
        raise ValueError(f"beams and labels do not fit: {beams_BTK.shape=}, {labels_BT.shape=}")
    if not 1 <= k <= beams_BTK.shape[-1]:
        raise ValueError(f"{k=} of {beams_BTK.shape[-1]} beams")
    wrong = labels_BT[(labels_BT < 0) & (labels_BT != IGNORED)]
    if len(wrong):
        raise ValueError(f"labels are beams from 0, or {IGNORED}: got {int(wrong[0])}")


SCORES = {
    "top1": "best beam is the first answer",
    "top2": "best beam is among the first 2 answers",
    "top3": "best beam is among the first 3 answers",
    "top5": "best beam is among the first 5 answers",
    "dba_top3": "distance-based accuracy of the nearest of 3 answers, as in the code of Table II",
    "dba_challenge": "distance-based accuracy of the DeepSense 6G challenge of 2022",
}
"""Scores of `kdtasks.sensing.beams.metrics`, here in percent."""


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
