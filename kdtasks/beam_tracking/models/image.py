"""The image student of Table II: separable convolutions with gates, GRU, attention.

The image teacher of Table II: convolutions with gates, dense layers, GRU, attention.
"""

from itertools import pairwise

from torch import nn

from kdtasks.beam_tracking.models.layers import (
    FEATURES,
    AdditiveAttention,
    ChannelGate,
    SpatialGate,
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


class ImageStudent(BeamNetwork):
    """Motion masks to beams: 94,778 parameters at width 1, whatever the size of the images.

    The width factor scales channels, features and hidden units.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        channels = [scaled(size, width) for size in (18, 36, 72, 144)]
        features = scaled(FEATURES, width)
        blocks = [conv_bn_relu(1, channels[0], stride=2, bias=False), nn.MaxPool2d(3, 2, 1)]
        for inputs, outputs in pairwise(channels):
            blocks += [separable(inputs, outputs, stride=1), nn.MaxPool2d(3, 2, 1)]
        branch = nn.Sequential(
            nn.Sequential(*blocks),
            ChannelGate(channels[-1]),
            SpatialGate(channels[-1]),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            dense([channels[-1], features, features], (0.0,)),
        )
        super().__init__({"image": branch}, None, small_temporal(features))


def small_temporal(features: int) -> Temporal:
    """Return the sequence part: one GRU layer, attention, one hidden layer in the classifier."""
    return Temporal(
        recurrent(features, features),
        AdditiveAttention(features, features),
        head(features, (0.3,)),
    )


GRU_DROPOUT = 0.8


class ImageTeacher(BeamNetwork):
    """Motion masks to beams: 1,787,418 parameters at 224 px, 1,762,458 with one GRU layer."""

    def __init__(self, image_size: int, *, gru_layers: int = 2) -> None:
        stem, numbers = teacher_stem(image_size)
        branch = nn.Sequential(
            stem, ChannelGate(64), SpatialGate(64), nn.Flatten(), teacher_dense(numbers)
        )
        temporal = Temporal(
            recurrent(FEATURES, FEATURES, layers=gru_layers, dropout=GRU_DROPOUT),
            AdditiveAttention(FEATURES, 128),
            head(FEATURES, (0.5, 0.3)),
        )
        super().__init__({"image": branch}, None, temporal)
