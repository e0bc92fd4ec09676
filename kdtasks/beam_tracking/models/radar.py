"""A radar student: the published image and radar student without its camera. It is ours.

A radar teacher: the published image and radar teacher without its camera. It is ours.
"""

from kdtasks.beam_tracking.models.image_radar import (
    RADAR_CHANNELS,
    causal_temporal,
    pooled_branch,
    pooled_dense,
    radar_branch,
    self_attending_temporal,
)
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.sensing.beams.format import RADAR_SHAPE


class RadarStudent(BeamNetwork):
    """Radar maps to beams. Not published; every layer is from the image and radar student.

    The width factor scales channels, features and hidden units.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        branch, codes = pooled_branch(RADAR_SHAPE[0], RADAR_CHANNELS, width)
        super().__init__({"radar": branch}, pooled_dense(codes, width), causal_temporal(width))


class RadarTeacher(BeamNetwork):
    """Radar maps to beams. Not published; every layer is from the image and radar teacher."""

    def __init__(self) -> None:
        super().__init__({"radar": radar_branch()}, None, self_attending_temporal())
