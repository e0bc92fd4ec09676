"""The image and radar teacher of Table II: two branches, GRU of two layers, self-attention."""

from itertools import pairwise

from torch import nn

from kdtasks.models.beam_layers import (
    FEATURES,
    RADAR_SHAPE,
    SelfAttention,
    conv_bn_relu,
    head,
    recurrent,
    teacher_dense,
    teacher_stem,
)
from kdtasks.models.beam_network import BeamNetwork, Temporal


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
