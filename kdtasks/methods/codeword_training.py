"""Train an encoder to give prescribed codewords, Cui et al., eq. (11).

Shape suffixes in this file: N = samples, A = antennas, C = subcarriers, M = codeword length.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from kdtasks.losses import codeword_mse
from kdtasks.training import Epoch, Schedule, fit


def fit_encoder(
    encoder: nn.Module,
    pictures_N2AC: Tensor,
    codewords_of: Callable[[Tensor], Tensor],
    *,
    schedule: Schedule,
    generator: torch.Generator,
) -> Iterator[Epoch]:
    """Train ``encoder`` on pairs of pictures and codewords; yields after each epoch.

    The loss is divided by the variance of the codewords, which makes it a number without unit:
    1 is what a constant code would get. Adam is indifferent to the factor.

    Args:
        encoder: Trained in place.
        pictures_N2AC: Training pictures.
        codewords_of: Maps sample indices to codewords, shape [B, M].
        schedule: Epochs, batch size, learning rate.
        generator: Source of the order of samples.
    """
    sample = codewords_of(torch.arange(min(len(pictures_N2AC), 2000)))
    scale = float(sample.var(dim=0).mean().clamp_min(1e-12))
    yield from fit(
        [encoder],
        lambda index: {
            "total": codeword_mse(encoder(pictures_N2AC[index]), codewords_of(index)) / scale
        },
        num_samples=len(pictures_N2AC),
        schedule=schedule,
        generator=generator,
    )
