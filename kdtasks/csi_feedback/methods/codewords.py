"""Train an encoder to give prescribed codewords, Cui et al., eq. (11).

Shape suffixes in this file: N = samples, A = antennas, C = subcarriers, M = codeword length.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from kdtasks.learning.custom_loss import Loss, own_loss
from kdtasks.learning.losses import codeword_mse
from kdtasks.learning.training import End, Epoch, Schedule, fit

CodewordLoss = Callable[[Tensor, Tensor, float], Tensor]
"""Loss of a student's codewords against its teacher's, [B, M], whose variance is the third."""

CODEWORD_LOSSES = ("mse",)


def normalised_mse(student_BM: Tensor, teacher_BM: Tensor, variance: float) -> Tensor:
    """Return the MSE of codewords as a number without unit: 1 is what a constant code would get.

    Adam is indifferent to the factor.

    Args:
        student_BM: Codewords of the student.
        teacher_BM: Those that it should give.
        variance: Of these, a mean over their entries.
    """
    return codeword_mse(student_BM, teacher_BM) / variance


def codeword_loss(name: str, length: int) -> CodewordLoss:
    """Return a loss of codewords.

    Args:
        name: Of `CODEWORD_LOSSES`, or that of the user's own, see `own_loss`, which is given
            codewords in units of their standard deviation.
        length: Of codewords.

    Raises:
        ConfigError: If there is no such loss, or it cannot be trained by.
    """
    if name == "mse":
        return normalised_mse
    return partial(_in_deviations, own_loss(name, (8, length), CODEWORD_LOSSES))


def _in_deviations(loss: Loss, student_BM: Tensor, teacher_BM: Tensor, variance: float) -> Tensor:
    unit = variance**0.5
    return loss(student_BM / unit, teacher_BM / unit)


def fit_encoder(  # noqa: PLR0913 - one argument per part of a training
    encoder: nn.Module,
    pictures_N2AC: Tensor,
    codewords_of: Callable[[Tensor], Tensor],
    *,
    loss: CodewordLoss,
    schedule: Schedule,
    generator: torch.Generator,
    end: End | None = None,
) -> Iterator[Epoch]:
    """Train ``encoder`` on pairs of pictures and codewords; yields after each epoch.

    Args:
        encoder: Trained in place.
        pictures_N2AC: Training pictures.
        codewords_of: Maps sample indices to codewords, shape [B, M].
        loss: See `codeword_loss`.
        schedule: Epochs, batch size, learning rate.
        generator: Source of the order of samples.
        end: See `fit`.
    """
    sample = codewords_of(torch.arange(min(len(pictures_N2AC), 2000)))
    variance = float(sample.var(dim=0).mean().clamp_min(1e-12))
    yield from fit(
        [encoder],
        lambda index: {"total": loss(encoder(pictures_N2AC[index]), codewords_of(index), variance)},
        num_samples=len(pictures_N2AC),
        schedule=schedule,
        generator=generator,
        end=end,
    )
