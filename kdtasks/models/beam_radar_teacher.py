"""A radar teacher: the published image and radar teacher without its camera. It is ours."""

from kdtasks.models.beam_image_radar_teacher import radar_branch, self_attending_temporal
from kdtasks.models.beam_network import BeamNetwork


class RadarTeacher(BeamNetwork):
    """Radar maps to beams. Not published; every layer is from the image and radar teacher."""

    def __init__(self) -> None:
        super().__init__({"radar": radar_branch()}, None, self_attending_temporal())
