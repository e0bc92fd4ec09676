"""Losses of detectors: of bits, from teachers, and of staying near what was inherited.

Shape suffixes in this file: K = layers with logits, B = channel uses, N = real streams, M = bits
per real stream. Logits are those of "the bit is 1".
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kdtasks.learning.device import in_float32


def layered(loss_KBNM: Tensor) -> Tensor:
    r"""Return the mean over bits of a loss of every layer, later layers weighing more.

    .. math:: \frac{\sum_k k \, \ell_k}{\sum_k k}, \qquad k = 1..K

    With one layer it is the mean. Samuel, Diskin and Wiesel (2019), "Learning to detect", weigh
    layers by log k, for the same reason: all are trained, and the last one is the answer.

    Args:
        loss_KBNM: Loss of each bit at each layer.
    """
    layers = len(loss_KBNM)
    weights_K = torch.arange(1, layers + 1, dtype=loss_KBNM.dtype)
    return (loss_KBNM.flatten(1).mean(1) * weights_K).sum() / weights_K.sum()


@in_float32
def bit_cross_entropy(logits_KBNM: Tensor, bits_BNM: Tensor) -> Tensor:
    """Return the binary cross-entropy [nats], see `layered`.

    Args:
        logits_KBNM: May have logits of bits that were not sent, at the end; they do not count.
        bits_BNM: What was sent.
    """
    logits_KBNM = logits_KBNM[..., : bits_BNM.shape[-1]]
    sent_KBNM = bits_BNM.to(logits_KBNM.dtype).expand_as(logits_KBNM)
    return layered(F.binary_cross_entropy_with_logits(logits_KBNM, sent_KBNM, reduction="none"))


@in_float32
def soft_bit_kl(student_KBNM: Tensor, teacher_BNM: Tensor, *, temperature: float) -> Tensor:
    r"""Return the temperature-softened KL divergence of bits from teacher to student [nats].

    .. math:: \tau^2 \, \mathrm{KL}\left(\mathrm{Bern}(\sigma(t / \tau)) \,\|\,
              \mathrm{Bern}(\sigma(s / \tau))\right)

    the loss of Hinton, Vinyals and Dean (2015), Section 2, for two classes; see `layered`.

    Args:
        student_KBNM: Logits of every layer of the student.
        teacher_BNM: Logits of the teacher; gradients never reach them.
        temperature: Softening temperature, strictly positive.

    Raises:
        ValueError: If the temperature is not positive.
    """
    if temperature <= 0.0:
        raise ValueError(f"temperature must be positive, got {temperature=}")
    soft_BNM = teacher_BNM.detach() / temperature
    target_BNM = torch.sigmoid(soft_BNM)
    own_BNM = F.binary_cross_entropy_with_logits(soft_BNM, target_BNM, reduction="none")
    cross_KBNM = F.binary_cross_entropy_with_logits(
        student_KBNM / temperature, target_BNM.expand_as(student_KBNM), reduction="none"
    )
    return temperature**2 * layered(cross_KBNM - own_BNM)


def anchored(
    weights: Sequence[Tensor], anchors: Sequence[Tensor], importance: Sequence[Tensor]
) -> Tensor:
    r"""Return the penalty of elastic weight consolidation.

    .. math:: \tfrac12 \sum_i F_i (\theta_i - \theta^*_i)^2

    Kirkpatrick et al. (2017), "Overcoming catastrophic forgetting in neural networks", eq. (3)
    without its factor lambda; F is the diagonal of the Fisher information.

    Args:
        weights: Parameters that are trained.
        anchors: Where they came from.
        importance: F of each.
    """
    terms = [
        (f * (w - anchor).square()).sum()
        for w, anchor, f in zip(weights, anchors, importance, strict=True)
    ]
    return 0.5 * torch.stack(terms).sum()
