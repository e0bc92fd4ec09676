"""The student of laser scans: 8,096 parameters, and its family by width.

Source: as `lidar_network`; other widths are ours.
"""

from torch import nn

from kdtasks.learning.tensors import scaled
from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.sensing.beams.format import NUM_RAYS

EMBEDDING, HIDDEN, DROPOUT = 16, 24, 0.1


class LidarStudent(LidarNetwork):
    """A linear code of 16, GRU of 24.

    Args:
        width: Factor on both; 1 is the published student.
        dropout: Share of the code that is dropped in training; the code of the paper has 0.1.
    """

    def __init__(self, *, width: float = 1.0, dropout: float = DROPOUT) -> None:
        embedding, hidden = scaled(EMBEDDING, width), scaled(HIDDEN, width)
        gru = nn.GRU(embedding, hidden, batch_first=True)
        super().__init__(nn.Linear(NUM_RAYS, embedding), gru, dropout=dropout)
