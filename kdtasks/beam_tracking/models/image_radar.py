"""The image and radar student of Table II: two branches of separable convolutions, GRU.

The image and radar teacher of Table II: two branches, GRU of two layers, self-attention.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from kdtasks.beam_tracking.models.layers import (
    FEATURES,
    AverageAndMax,
    SelfAttention,
    conv_bn_relu,
    dense,
    head,
    recurrent,
    separable,
    teacher_dense,
    teacher_stem,
)
from kdtasks.beam_tracking.models.network import BeamNetwork, Temporal
from kdtasks.learning.tensors import scaled
from kdtasks.sensing.beams.format import RADAR_SHAPE

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


class ImageRadarTeacher(BeamNetwork):
    """Motion masks and radar maps to beams: 2,947,740 parameters at 224 px.

    Table II has 2.931 M: it leaves out the 16,640 of the self-attention.
    """

    def __init__(self, image_size: int) -> None:
        stem, numbers = teacher_stem(image_size)
        branch = nn.Sequential(stem, nn.Flatten(), teacher_dense(numbers))
        fusion = nn.Sequential(nn.Linear(2 * FEATURES, FEATURES), nn.ReLU(), nn.Dropout(0.3))
        super().__init__(
            {"image": branch, "radar": radar_branch()}, fusion, self_attending_temporal()
        )


def radar_branch() -> nn.Sequential:
    """Return a teacher's branch over radar maps; it gives 64 features."""
    convolutions = [
        conv_bn_relu(inputs, outputs, stride=2, bias=True)
        for inputs, outputs in pairwise((RADAR_SHAPE[0], 4, 16, 32, 64))
    ]
    numbers = 64 * (RADAR_SHAPE[1] // 16) * (RADAR_SHAPE[2] // 16)
    return nn.Sequential(nn.Sequential(*convolutions), nn.Flatten(), teacher_dense(numbers))


def self_attending_temporal() -> Temporal:
    """Return the sequence part: two GRU layers, self-attention, classifier."""
    return Temporal(
        recurrent(FEATURES, FEATURES, layers=2, dropout=0.5),
        SelfAttention(FEATURES),
        head(FEATURES, (0.5, 0.3)),
    )
