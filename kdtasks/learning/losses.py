"""Distillation losses: pure functions of tensors, one per published definition.

Shape suffixes in this file: B = samples, K = entries that a softmax runs over, T = predicted slots,
F and G = features of student and teacher. "Table II" is of "Knowledge Distillation for
Collaborative Learning in Distributed Communications and Sensing", whose code defines the losses
that its text does not.

Relational distillation: how samples lie to each other, instead of where they are.

Park et al., "Relational Knowledge Distillation" (2019), in the form of the code of Table II of
"Knowledge Distillation for Collaborative Learning in Distributed Communications and Sensing": plain
squares for Huber's loss, random pairs for all pairs, and for the angle of three samples one minus
the cosine of two.

Shape suffixes of losses of bits: K = layers with logits, B = channel uses, N = real streams, M =
bits per real stream. Logits are those of "the bit is 1".

Shape suffixes in this file: B = samples, P = pairs, D and E = numbers that describe a sample to
student and teacher.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdtasks.learning.device import in_float32, on_host, to_device
from kdtasks.learning.labels import IGNORED


def _check(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher differ in shape: {student.shape=}, {teacher.shape=}")


@in_float32
def soft_target_kl(student_BK: Tensor, teacher_BK: Tensor, *, temperature: float) -> Tensor:
    r"""Softened KL divergence from teacher to student, per sample [nats], shape [B].

    .. math:: \tau^2 \, \mathrm{KL}\left(\mathrm{softmax}(z_t / \tau) \,\|\,
              \mathrm{softmax}(z_s / \tau)\right)

    For a fixed teacher its gradient is that of the cross-entropy of Cui et al., eq. (9) and (10),
    times :math:`\tau^2`; the factor keeps gradients comparable across temperatures: Hinton,
    Vinyals, Dean (2015), section 2. For large :math:`\tau` it tends to half the mean square of the
    centred differences.

    Args:
        student_BK: Student logits.
        teacher_BK: Teacher logits, same shape; no gradient reaches them.
        temperature: Softening temperature, > 0.

    Raises:
        ValueError: If the temperature is not positive or the shapes differ.
    """
    if temperature <= 0.0:
        raise ValueError(f"temperature must be > 0, got {temperature=}")
    _check(student_BK, teacher_BK)
    log_student_BK = F.log_softmax(student_BK / temperature, dim=-1)
    log_teacher_BK = F.log_softmax(teacher_BK.detach() / temperature, dim=-1)
    kl_BK = F.kl_div(log_student_BK, log_teacher_BK, reduction="none", log_target=True)
    return temperature**2 * kl_BK.sum(-1)


@in_float32
def slot_kl(
    student_BTK: Tensor,
    teacher_BTK: Tensor,
    *,
    temperature: float,
    slot_weights: Sequence[float] | None = None,
) -> Tensor:
    r"""Response distillation over slots: a scalar [nats].

    .. math:: \frac{\tau^2}{B T} \sum_{b,t} w_t \,
              \mathrm{KL}\left(p^{\mathrm{teacher}}_{bt} \,\|\, p^{\mathrm{student}}_{bt}\right)

    with probabilities softened by :math:`\tau`: a sum over classes, a mean over samples and slots,
    as in Table II, where all weights are one. An older release of its code also takes the mean
    over classes, which makes the term 64 times smaller.

    Args:
        student_BTK: Student logits.
        teacher_BTK: Teacher logits, same shape; no gradient reaches them.
        temperature: Softening temperature, > 0.
        slot_weights: One per slot, as they are (`leaning_weights` have mean one); None for ones.

    Raises:
        ValueError: If the temperature is not positive, or the shapes or lengths differ.
    """
    kl_BT = soft_target_kl(student_BTK, teacher_BTK, temperature=temperature)
    if slot_weights is None:
        return kl_BT.mean()
    if len(slot_weights) != kl_BT.shape[1]:
        raise ValueError(f"{len(slot_weights)} weights for {kl_BT.shape[1]} slots")
    return (kl_BT * kl_BT.new_tensor(slot_weights)).mean()


def leaning_weights(num_slots: int, lean: float) -> list[float]:
    r"""Weights of slots with mean one, whose ratio from the last to the first is ``exp(lean)``.

    .. math:: w_t \propto \exp\left(\lambda \frac{t}{T - 1}\right)

    Section V.A of the paper of Table II proposes that a student depend on its teacher more for
    slots far ahead, and leaves open how; this form is ours.

    Args:
        num_slots: Slots, at least 1.
        lean: 0 gives ones; positive numbers lean on the teacher for far slots.
    """
    powers = [math.exp(lean * slot / max(1, num_slots - 1)) for slot in range(num_slots)]
    return [num_slots * power / sum(powers) for power in powers]


@in_float32
def focal_loss(logits_BTK: Tensor, labels_BT: Tensor, *, gamma: float) -> Tensor:
    r"""Cross-entropy with less weight on what is already known: a scalar [nats].

    .. math:: \mathrm{mean} \left[ (1 - p_y)^\gamma \, (-\log p_y) \right]

    over all slots with a label: Lin et al., "Focal Loss for Dense Object Detection" (2017),
    eq. (4). Table II has :math:`\gamma = 2`; 0 is cross-entropy.

    Args:
        logits_BTK: Student logits; any number of axes before the last.
        labels_BT: Classes, or `IGNORED`, which is in no sum and no count.
        gamma: Exponent, >= 0.

    Returns:
        The mean; 0, with zero gradient, where no slot has a label.

    Raises:
        ValueError: If gamma is negative.
    """
    if gamma < 0.0:
        raise ValueError(f"gamma must be >= 0, got {gamma=}")
    known_BT = labels_BT != IGNORED
    picked_BT1 = labels_BT.clamp_min(0).unsqueeze(-1)
    log_p_BT = F.log_softmax(logits_BTK, dim=-1).gather(-1, picked_BT1).squeeze(-1)
    # A power below one has no slope at zero, and 0 times infinity would spoil the whole batch.
    miss_BT = (-torch.expm1(log_p_BT)).clamp_min(torch.finfo(log_p_BT.dtype).tiny)
    terms_BT = torch.where(known_BT, -(miss_BT**gamma) * log_p_BT, 0.0)
    return terms_BT.sum() / known_BT.sum().clamp_min(1)


@in_float32
def slot_cross_entropy(logits_BTK: Tensor, labels_BT: Tensor) -> Tensor:
    """Cross-entropy, its mean over all slots with a label: a scalar [nats].

    Args:
        logits_BTK: Student logits; any number of axes before the last.
        labels_BT: Classes, or `IGNORED`, which is in no sum and no count.

    Returns:
        The mean; 0, with zero gradient, where no slot has a label.
    """
    logits, labels = logits_BTK.flatten(0, -2), labels_BT.flatten()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp_min(1)


def _mean_square(student: Tensor, teacher: Tensor) -> Tensor:
    _check(student, teacher)
    return torch.mean((student - teacher.detach()).square())


@in_float32
def feature_mse(
    student_BTF: Tensor, teacher_BTG: Tensor, *, projection: nn.Module | None = None
) -> Tensor:
    r"""Mean square distance of features: a scalar.

    .. math:: \mathrm{mean} \left( P(f_s) - f_t \right)^2

    over samples, slots and features; "FitNets: Hints for Thin Deep Nets" (Romero et al., 2015),
    eq. (3).

    Args:
        student_BTF: Features of the student.
        teacher_BTG: Features of the teacher; no gradient reaches them.
        projection: Maps the student's features to the teacher's, and is trained with the student;
            None where they have the same size.

    Raises:
        ValueError: If the shapes differ after projection.
    """
    return _mean_square(student_BTF if projection is None else projection(student_BTF), teacher_BTG)


@in_float32
def codeword_mse(student_BM: Tensor, teacher_BM: Tensor) -> Tensor:
    """Mean square distance of codewords, Cui et al., eq. (11): a scalar.

    Raises:
        ValueError: If the shapes differ.
    """
    return _mean_square(student_BM, teacher_BM)


@in_float32
def logit_mse(student_BTK: Tensor, teacher_BTK: Tensor) -> Tensor:
    r"""Mean square distance of logits: a scalar.

    .. math:: \mathrm{mean} \left( z_s - z_t \right)^2

    over samples, slots and classes. Zakeri et al., "Data-Free Knowledge Distillation for
    LiDAR-Aided Beam Tracking in MmWave Systems" (2025), propose it in place of KL: it has no
    temperature. Unlike KL it sees a constant that is added to all logits of a slot.

    Args:
        student_BTK: Student logits.
        teacher_BTK: Teacher logits, same shape; no gradient reaches them.

    Raises:
        ValueError: If the shapes differ.
    """
    return _mean_square(student_BTK, teacher_BTK)


@in_float32
def activation_loss(features_BF: Tensor) -> Tensor:
    r"""Minus the mean size of a teacher's features: a scalar, the lower the stronger they are.

    .. math:: -\frac{1}{B F} \sum_{b,f} |f_{bf}|

    Inputs like those that a teacher has learnt from excite it more than others do: Chen et al.,
    "Data-Free Learning of Student Networks" (2019), eq. (5).
    """
    return -features_BF.abs().mean()


@in_float32
def entropy_loss(logits_BTK: Tensor) -> Tensor:
    r"""Minus the entropy of a batch's mean answer, its mean over slots: a scalar [nats].

    .. math:: \frac{1}{T} \sum_{t,k} \bar p_{tk} \ln \bar p_{tk}, \quad
              \bar p_t = \frac{1}{B} \sum_b \mathrm{softmax}(z_{bt})

    It is least, :math:`-\ln K`, where all classes occur equally often: Chen et al., "Data-Free
    Learning of Student Networks" (2019), eq. (6), whose code takes the logarithm to base 10.

    Args:
        logits_BTK: A teacher's logits.
    """
    mean_TK = torch.softmax(logits_BTK, dim=-1).mean(0)
    entropy: Tensor = -torch.special.xlogy(mean_TK, mean_TK).sum(-1)
    return -entropy.mean()


def blended_terms(task: Tensor, distill: Tensor, *, alpha: float) -> dict[str, Tensor]:
    """Return ``total = (1 - alpha) task + alpha distill``, and both terms by name.

    At alpha = 1 labels do not matter, not even as 0 * infinity.

    Args:
        task: Loss towards labels.
        distill: Loss towards a teacher.
        alpha: In [0, 1].
    """
    total = distill if alpha == 1.0 else (1.0 - alpha) * task + alpha * distill
    return {"total": total, "task": task, "distill": distill}


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
        raise ValueError(f"temperature must be > 0, got {temperature=}")
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


SMALLEST_MEAN = 1e-12
"""A mean distance below this counts as this: all samples are in one place."""


def draw_pairs(
    num_samples: int,
    *,
    partners: int,
    generator: torch.Generator,
    passage_B: Tensor | None = None,
) -> Tensor:
    """Draw partners for every sample of a batch, ordered pairs of indices, shape [P, 2].

    Each sample, as an anchor, gets different partners that are not itself, all equally likely.

    Args:
        num_samples: Samples in the batch, B.
        partners: Wanted for each anchor, >= 1; it gets as many as there are.
        generator: Source of the draw.
        passage_B: Passage of each sample, on the CPU. If given, partners are of other passages,
            so that no two overlapping windows make a pair.

    Raises:
        ValueError: If no partner is wanted.
    """
    if partners < 1:
        raise ValueError(f"every anchor needs a partner, got {partners=}")
    with on_host():
        allowed_BB = ~torch.eye(num_samples, dtype=torch.bool)
        if passage_B is not None:
            allowed_BB = passage_B[:, None] != passage_B[None, :]
        lots_BB = torch.rand(num_samples, num_samples, generator=generator)
        # Samples that are not allowed get 2, above every draw in [0, 1), and come last.
        order_BB = lots_BB.masked_fill(~allowed_BB, 2.0).argsort(dim=1)[:, :partners]
        kept_BB = allowed_BB.gather(1, order_BB)
        anchor_P, place_P = kept_BB.nonzero(as_tuple=True)
        pairs_P2 = torch.stack([anchor_P, order_BB[anchor_P, place_P]], dim=1)
    return to_device(pairs_P2)


@in_float32
def relation_loss(
    student_BD: Tensor,
    teacher_BE: Tensor,
    pairs_P2: Tensor,
    *,
    distance_weight: float,
    angle_weight: float,
) -> Tensor:
    r"""Distance of the relations among student features from those of the teacher: a scalar.

    .. math:: w_d \, \mathrm{mean}_{ij} (d^s_{ij} - d^t_{ij})^2
              + w_a \, \mathrm{mean}_{ij} (c^s_{ij} - c^t_{ij})^2

    .. math:: d_{ij} = \|u_i - u_j\| \,/\, \mathrm{mean}_{kl} \|u_k - u_l\|,
              \quad c_{ij} = 1 - \cos(u_i, u_j)

    All means run over the given pairs, and gradients go through the mean distance too. Sizes of
    student and teacher features may differ. Table II describes a sample by its output features of
    all slots in a row, and has weights of 100 and 100 or 10 and 10.

    Args:
        student_BD: Features of the student.
        teacher_BE: Features of the teacher for the same samples; no gradient reaches them.
        pairs_P2: Pairs of indices as `draw_pairs` gives them; without pairs the loss is 0.
        distance_weight: :math:`w_d`.
        angle_weight: :math:`w_a`.

    Raises:
        ValueError: If student and teacher differ in the number of samples.
    """
    if len(student_BD) != len(teacher_BE):
        raise ValueError(f"{len(student_BD)} samples of the student, {len(teacher_BE)} of teacher")
    if len(pairs_P2) == 0:
        return 0.0 * student_BD.sum()
    distance_s, angle_s = _relations(student_BD, pairs_P2)
    distance_t, angle_t = _relations(teacher_BE.detach(), pairs_P2)
    return distance_weight * F.mse_loss(distance_s, distance_t) + angle_weight * F.mse_loss(
        angle_s, angle_t
    )


def _relations(features_BD: Tensor, pairs_P2: Tensor) -> tuple[Tensor, Tensor]:
    """Return normalised distances and one minus cosines of pairs, [P] each."""
    one_PD, other_PD = features_BD[pairs_P2[:, 0]], features_BD[pairs_P2[:, 1]]
    distance_P = torch.linalg.vector_norm(one_PD - other_PD, dim=-1)
    distance_P = distance_P / distance_P.mean().clamp_min(SMALLEST_MEAN)
    return distance_P, 1.0 - F.cosine_similarity(one_PD, other_PD, dim=-1)
