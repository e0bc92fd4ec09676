"""A radar student: the published image and radar student without its camera. It is ours."""

from kdtasks.models.beam_image_radar_student import (
    RADAR_CHANNELS,
    causal_temporal,
    pooled_branch,
    pooled_dense,
)
from kdtasks.models.beam_layers import RADAR_SHAPE
from kdtasks.models.beam_network import BeamNetwork


class RadarStudent(BeamNetwork):
    """Radar maps to beams. Not published; every layer is from the image and radar student.

    The width factor scales channels, features and hidden units.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        branch, codes = pooled_branch(RADAR_SHAPE[0], RADAR_CHANNELS, width)
        super().__init__({"radar": branch}, pooled_dense(codes, width), causal_temporal(width))
