"""The user equipment's half: it knows its own encoder and the pairs that it received."""

from collections.abc import Iterator

import torch
from torch import nn

from kdtasks.csi_feedback.methods.codewords import CodewordLoss, fit_encoder
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import Pairs, send
from kdtasks.learning.training import End, Epoch, Schedule, run_frozen


def learn(
    encoder: nn.Module,
    received: Pairs,
    *,
    loss: CodewordLoss,
    schedule: Schedule,
    generator: torch.Generator,
    end: End | None = None,
) -> Iterator[Epoch]:
    """Train the encoder on the base station's pairs (step 2 of section IV-C)."""
    return fit_encoder(
        encoder,
        received.pictures_N2AC,
        lambda index: received.codewords_NM[index],
        loss=loss,
        schedule=schedule,
        generator=generator,
        end=end,
    )


def answer(encoder: nn.Module, received: Pairs, *, bits: int) -> Pairs:
    """Return the encoder's own pairs to the base station (step 3)."""
    codewords_NM = run_frozen(encoder, received.pictures_N2AC)
    return send(received.pictures_N2AC, codewords_NM, bits=bits)
