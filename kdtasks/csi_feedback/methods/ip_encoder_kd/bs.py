"""The base station's half: it knows its own autoencoder and the pairs that it received."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import Pairs, send
from kdtasks.learning.metrics import relative_errors
from kdtasks.learning.training import End, Epoch, Schedule, Terms, fit


def offer(pictures_N2AC: Tensor, codewords_NM: Tensor, *, bits: int) -> Pairs:
    """Send CSI and the own encoder's codewords to the user equipment (step 1 of section IV-C)."""
    return send(pictures_N2AC, codewords_NM, bits=bits)


def finetune(
    decoder: nn.Module,
    received: Pairs,
    *,
    schedule: Schedule,
    generator: torch.Generator,
    end: End | None = None,
) -> Iterator[Epoch]:
    """Train the decoder on the user equipment's pairs (step 3); the encoder stays unknown."""

    def objective(index: Tensor) -> Terms:
        pictures = received.pictures_N2AC[index]
        task = relative_errors(pictures, decoder(received.codewords_NM[index])).mean()
        return {"total": task, "task": task}

    return fit(
        [decoder],
        objective,
        num_samples=len(received.pictures_N2AC),
        schedule=schedule,
        generator=generator,
        end=end,
    )
