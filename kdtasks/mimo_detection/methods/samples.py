"""What MIMO detectors train on: streams of ever new channel uses, or few of them again and again.

Shape suffixes in this file: B = channel uses of a batch, N = real streams, M = bits per real
stream.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdtasks.learning.training import batches
from kdtasks.mimo_detection.link.bit_errors import BitErrors, compare, counted
from kdtasks.mimo_detection.link.link import ChannelSource, MimoLink, Received, transmit
from kdtasks.mimo_detection.models.family import DetectorNet, run
from kdtasks.mimo_detection.models.features import DetectorInputs, InputFeatures, features_of

PARTS = 1000
"""Channel uses that are judged at once."""

ENOUGH_ERRORS = 20_000
"""Bit errors at which counting stops: a standard error of 0.7 % of the BER."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Channel uses of one step.

    Attributes:
        inputs: What networks see of them.
        bits_BNM: What was sent.
    """

    inputs: DetectorInputs
    bits_BNM: Tensor


Samples = Callable[[Tensor], Batch]
"""Gives the batch of a step from indices, of which a stream takes only how many there are."""


def stream(
    link: MimoLink,
    source: ChannelSource,
    snr_db: tuple[float, float],
    input_features: InputFeatures,
    generator: torch.Generator,
) -> Samples:
    """Return samples of which none comes twice.

    Args:
        link: What is sent.
        source: Where channels come from.
        snr_db: Range of the SNR [dB].
        input_features: How networks' inputs are made of them.
        generator: Draws them.
    """

    def draw(chosen_B: Tensor) -> Batch:
        channel_BRS = source(len(chosen_B), generator)
        seen = transmit(link, channel_BRS, snr_db, generator)
        return Batch(inputs=features_of(seen, input_features), bits_BNM=seen.bits_BNM)

    return draw


def fixed(seen: Received, input_features: InputFeatures) -> Samples:
    """Return samples of a small data set, which indices run through again and again."""
    inputs, bits = features_of(seen, input_features), seen.bits_BNM

    def take(chosen_B: Tensor) -> Batch:
        places_B = chosen_B % len(bits)
        return Batch(inputs=inputs[places_B], bits_BNM=bits[places_B])

    return take


class EvaluationSamples:
    """Channel uses that networks are judged on, with their inputs made once.

    Args:
        seen: The channel uses.
        input_features: How networks' inputs are made of them.
    """

    def __init__(self, seen: Received, input_features: InputFeatures) -> None:
        self._bits = seen.bits_BNM
        self._parts = [
            (part, features_of(seen[part], input_features)) for part in batches(len(seen), PARTS)
        ]

    def errors(self, network: DetectorNet) -> BitErrors:
        """Return the bit errors of a network, counted until there are `ENOUGH_ERRORS`."""
        each = (self._part(network, place, inputs) for place, inputs in self._parts)
        return counted(each, stop_at=ENOUGH_ERRORS)

    def _part(self, network: DetectorNet, place: slice, inputs: DetectorInputs) -> BitErrors:
        sent_BNM = self._bits[place]
        with torch.no_grad():
            logits_BNM = run(network, inputs)[-1][..., : sent_BNM.shape[-1]]
        return compare(logits_BNM > 0.0, sent_BNM.bool())
