"""The image teacher of Table II: convolutions with gates, dense layers, GRU, attention."""

from torch import nn

from kdtasks.models.beam_layers import (
    FEATURES,
    AdditiveAttention,
    ChannelGate,
    SpatialGate,
    head,
    recurrent,
    teacher_dense,
    teacher_stem,
)
from kdtasks.models.beam_network import BeamNetwork, Temporal

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
