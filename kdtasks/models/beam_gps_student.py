"""A student that knows positions only. It is ours.

Shape suffixes in this file: N = frames.
"""

from torch import Tensor, nn

from kdtasks.models.beam_image_student import small_temporal
from kdtasks.models.beam_layers import FEATURES, dense, scaled
from kdtasks.models.beam_network import BeamNetwork

POSITION_SCALE_M = 50.0
"""Positions are divided by this [m]: about how far a street is seen from its base station."""


class ScaledPosition(nn.Module):
    """Positions [m] to numbers of about one."""

    def forward(self, position_N2: Tensor) -> Tensor:
        """Return scaled positions, same shape."""
        return position_N2 / POSITION_SCALE_M


class GpsStudent(BeamNetwork):
    """Positions relative to the base station to beams. Not published.

    Two dense layers, then the sequence part of the image student. The width factor scales
    features and hidden units.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        features = scaled(FEATURES, width)
        branch = nn.Sequential(ScaledPosition(), dense([2, features, features], (0.0,)))
        super().__init__({"gps": branch}, None, small_temporal(features))
