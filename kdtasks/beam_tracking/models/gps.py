"""A student that knows positions only. It is ours.

Shape suffixes in this file: N = frames, F = features of a frame.
"""

from torch import Tensor, nn

from kdtasks.beam_tracking.models.image import small_temporal
from kdtasks.beam_tracking.models.layers import FEATURES, dense
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.learning.tensors import scaled

POSITION_SCALE_M = 50.0
"""Positions are divided by this [m]: about how far a street is seen from its base station."""


class PositionBranch(nn.Module):
    """Two dense layers on positions that are scaled to about one."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = dense([2, features, features], (0.0,))

    def forward(self, position_N2: Tensor) -> Tensor:
        """Return features of positions [m], [N, F]."""
        features_NF: Tensor = self.dense(position_N2 / POSITION_SCALE_M)
        return features_NF


class GpsStudent(BeamNetwork):
    """Positions relative to the base station to beams. Not published.

    Two dense layers, then the sequence part of the image student. The width factor scales
    features and hidden units.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        features = scaled(FEATURES, width)
        super().__init__({"gps": PositionBranch(features)}, None, small_temporal(features))
