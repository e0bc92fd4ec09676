"""A MIMO detector as a node runs it: what linear detection left behind in, logits in the gauge out.

Shape suffixes in this file: B = channel uses, N = real streams, M = bits per real stream.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.task import Arrays
from kdtasks.learning.training import batches
from kdtasks.mimo_detection.link.bit_errors import BitErrors, compare, counted
from kdtasks.mimo_detection.link.link import Received
from kdtasks.mimo_detection.methods.samples import ENOUGH_ERRORS, PARTS
from kdtasks.mimo_detection.models.family import DetectorNet, input_shapes
from kdtasks.mimo_detection.models.features import InputFeatures, bit_logits, features_of
from kdtasks.mimo_detection.scores import scores
from kdtasks.mimo_detection.settings import MimoSettings
from kdtasks.mimo_detection.students import restored_individual

STUDENT = "student"


class LastLogits(nn.Module):
    """A detector that gives the logits of its last layer alone.

    Args:
        network: The detector.
    """

    def __init__(self, network: DetectorNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return logits in the gauge, [B, N, M]."""
        logits_BNM: Tensor = self.network(*inputs)[-1]
        return logits_BNM


def deployable(settings: MimoSettings, weights: Arrays) -> Deployable:
    """Return the network of a trained individual."""
    network = restored_individual(settings, weights)
    shapes = input_shapes(network, settings.link.streams)
    names = [name.rpartition("_")[0] for name in network.reads]
    part = Part(
        network=LastLogits(network),
        inputs={name: torch.zeros(2, *shape) for name, shape in zip(names, shapes, strict=True)},
        output="logits",
        about=f"At the receiver of a link {settings.target}. Takes {', '.join(names)} of channel "
        "uses as kdtasks.mimo_detection.models.features makes them of the received signal, the "
        "least-squares "
        "estimate of the channel and the variance of the noise; gives, for real streams (real "
        "parts, then imaginary parts), logits of 'the sign of the first estimate stays' and, for "
        "16-QAM, of 'the outer level'.",
    )
    return Deployable(
        parts={STUDENT: part}, score=partial(score, settings.input_features, network.reads)
    )


def score(
    input_features: InputFeatures, reads: Sequence[str], parts: Mapping[str, Call], split: Arrays
) -> dict[str, float]:
    """Return every score of whatever stands for the individual.

    Args:
        input_features: How its inputs are made of channel uses.
        reads: What it takes of `DetectorInputs`, in order.
        parts: The individual.
        split: Channel uses.
    """

    def errors_in(seen: Received) -> BitErrors:
        inputs = features_of(seen, input_features)
        found_BNM = parts[STUDENT](*(getattr(inputs, name) for name in reads))
        logits_BNM = bit_logits(found_BNM, inputs.sign_BN)[..., : seen.bits_BNM.shape[-1]]
        return compare(logits_BNM > 0.0, seen.bits_BNM.bool())

    def errors(seen: Received) -> BitErrors:
        each = (errors_in(seen[part]) for part in batches(len(seen), PARTS))
        return counted(each, stop_at=ENOUGH_ERRORS)

    return scores(split, errors)
