"""The GRU teacher of laser scans: 96,640 parameters.

Source: as `lidar_network`; the network is that of Jiang, Charan, Alkhateeb, "LiDAR Aided Future
Beam Prediction in Real-World Millimeter Wave V2I Communications" (2022), with a wider state.
"""

from torch import nn

from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.sensing.beams.format import NUM_RAYS

EMBEDDING, HIDDEN, DROPOUT = 64, 128, 0.3


class LidarGruTeacher(LidarNetwork):
    """A linear code of 64, GRU of 128."""

    def __init__(self) -> None:
        encoder = nn.Linear(NUM_RAYS, EMBEDDING)
        super().__init__(encoder, nn.GRU(EMBEDDING, HIDDEN, batch_first=True), dropout=DROPOUT)
