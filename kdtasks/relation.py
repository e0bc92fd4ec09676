"""Relational distillation: how samples lie to each other, instead of where they are.

Park et al., "Relational Knowledge Distillation" (2019), in the form of the code of Table II of
"Knowledge Distillation for Collaborative Learning in Distributed Communications and Sensing": plain
squares for Huber's loss, random pairs for all pairs, and for the angle of three samples one minus
the cosine of two.

Shape suffixes in this file: B = samples, P = pairs, D and E = numbers that describe a sample to
student and teacher.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

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
    allowed_BB = ~torch.eye(num_samples, dtype=torch.bool)
    if passage_B is not None:
        allowed_BB = passage_B[:, None] != passage_B[None, :]
    lots_BB = torch.rand(num_samples, num_samples, generator=generator)
    # Who is not allowed draws 2, above every lot in [0, 1), and comes last.
    order_BB = lots_BB.masked_fill(~allowed_BB, 2.0).argsort(dim=1)[:, :partners]
    kept_BB = allowed_BB.gather(1, order_BB)
    anchor_P, place_P = kept_BB.nonzero(as_tuple=True)
    return torch.stack([anchor_P, order_BB[anchor_P, place_P]], dim=1)


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
