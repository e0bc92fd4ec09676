"""Distillation losses: pure functions of tensors, one per published definition.

Shape suffixes in this file: B = samples, K = entries that a softmax runs over.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def _check(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher differ in shape: {student.shape=}, {teacher.shape=}")


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


def codeword_mse(student_BM: Tensor, teacher_BM: Tensor) -> Tensor:
    """Mean square distance of codewords, Cui et al., eq. (11): a scalar.

    Raises:
        ValueError: If the shapes differ.
    """
    _check(student_BM, teacher_BM)
    return torch.mean((student_BM - teacher_BM.detach()).square())
