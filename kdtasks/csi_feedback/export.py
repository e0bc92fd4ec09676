"""CSI feedback as it is deployed: an encoder on the phone, a decoder at the base station."""

from collections.abc import Mapping

import torch

from kdtasks.contract.deployable import Call, CallableModule, Deployable, Part
from kdtasks.contract.task import Arrays
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.csi_feedback.students import restored_student, scores


def deployable(settings: CsiSettings, weights: Arrays) -> Deployable:
    """Return encoder and decoder of a trained student."""
    model = restored_student(settings, weights).eval()
    complex_parts, antennas, subcarriers = settings.picture_shape
    size = f"[batch, {complex_parts}, {antennas}, {subcarriers}]"
    pictures = torch.zeros(2, complex_parts, antennas, subcarriers)
    codewords = torch.zeros(2, settings.codeword_length)
    parts = {
        "encoder": Part(
            network=model.encoder,
            inputs={"picture": pictures},
            output="codeword",
            about=f"At the user equipment. Takes pictures {size}: real and imaginary part of the "
            f"channel in angle and delay, scaled to [0, 1] as in training; gives codewords "
            f"[batch, {settings.codeword_length}].",
        ),
        "decoder": Part(
            network=model.decoder,
            inputs={"codeword": codewords},
            output="reconstruction",
            about=f"At the base station. Takes codewords [batch, {settings.codeword_length}], "
            f"gives pictures {size}.",
        ),
    }
    return Deployable(parts=parts, score=score)


def score(parts: Mapping[str, Call], split: Arrays) -> dict[str, float]:
    """Return the NMSE of whatever stands for encoder and decoder."""
    return scores(
        Autoencoder(CallableModule(parts["encoder"]), CallableModule(parts["decoder"])), split
    )
