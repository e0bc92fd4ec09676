"""The image and radar student of Table II: two branches of separable convolutions, GRU."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from kdtasks.models.beam_layers import (
    FEATURES,
    RADAR_SHAPE,
    AverageAndMax,
    conv_bn_relu,
    dense,
    head,
    recurrent,
    scaled,
    separable,
)
from kdtasks.models.beam_network import BeamNetwork, Temporal

IMAGE_CHANNELS = (12, 16, 24, 40, 96)
RADAR_CHANNELS = (12, 16, 24, 96)


class ImageRadarStudent(BeamNetwork):
    """Motion masks and radar maps to beams: 105,940 parameters at width 1.

    The width factor scales channels, features and hidden units.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        images, image_codes = pooled_branch(1, IMAGE_CHANNELS, width)
        radar, radar_codes = pooled_branch(RADAR_SHAPE[0], RADAR_CHANNELS, width)
        super().__init__(
            {"image": images, "radar": radar},
            pooled_dense(image_codes + radar_codes, width),
            causal_temporal(width),
        )


def pooled_branch(inputs: int, channels: Sequence[int], width: float) -> tuple[nn.Sequential, int]:
    """Return a branch that halves maps at every layer and pools, and how many numbers it gives."""
    sizes = [scaled(size, width) for size in channels]
    layers = [conv_bn_relu(inputs, sizes[0], stride=2, bias=False)]
    layers += [separable(before, after, stride=2) for before, after in pairwise(sizes)]
    return nn.Sequential(nn.Sequential(*layers), AverageAndMax()), 2 * sizes[-1]


def pooled_dense(numbers: int, width: float) -> nn.Sequential:
    """Return the dense layers from pooled maps to the features of a frame."""
    return dense([numbers, scaled(128, width), scaled(FEATURES, width)], (0.3,))


def causal_temporal(width: float) -> Temporal:
    """Return the sequence part: one GRU layer without attention, classifier."""
    features = scaled(FEATURES, width)
    return Temporal(recurrent(features, features), None, head(features, (0.5, 0.3)))
