"""The CNN-GRU teacher of laser scans: 189,952 parameters.

Source: as `lidar_network`. Shape suffixes: N = scans, R = rays, E = embedding.
"""

from torch import Tensor, nn

from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.sensing.beams.format import NUM_RAYS

CHANNELS, KERNEL, STRIDE = (16, 32), 5, 2
EMBEDDING, HIDDEN, DROPOUT = 64, 128, 0.1


class ScanConvolutions(nn.Module):
    """Two strided convolutions with ReLU along the rays, then a linear code without activation."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv1d(1, CHANNELS[0], KERNEL, stride=STRIDE)
        self.far = nn.Conv1d(CHANNELS[0], CHANNELS[1], KERNEL, stride=STRIDE)
        places = NUM_RAYS
        for _ in CHANNELS:
            places = (places - KERNEL) // STRIDE + 1
        self.activation = nn.ReLU()
        self.code = nn.Linear(CHANNELS[1] * places, EMBEDDING)

    def forward(self, scan_NR: Tensor) -> Tensor:
        """Return codes [N, E]."""
        near = self.activation(self.near(scan_NR.unsqueeze(1)))
        code_NE: Tensor = self.code(self.activation(self.far(near)).flatten(1))
        return code_NE


class LidarCnnTeacher(LidarNetwork):
    """Convolutions to 64, GRU of 128."""

    def __init__(self) -> None:
        gru = nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        super().__init__(ScanConvolutions(), gru, dropout=DROPOUT)
