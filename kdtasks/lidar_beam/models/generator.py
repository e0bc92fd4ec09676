"""What makes windows of laser scans out of noise, and the published network that does.

Source: as `lidar_network`. Shape suffixes: B = windows, Z = noise, T = scans, R = rays.
"""

from itertools import pairwise

from torch import Tensor, nn

from kdtasks.learning.tensors import scaled
from kdtasks.sensing.beams.format import NUM_PAST, NUM_RAYS

NOISE, HIDDEN = 500, 128


class ScanGenerator(nn.Module):
    """Maps noise [B, Z], drawn from N(0, 1), to windows [B, 8, R]; all chance is in the noise.

    Attributes:
        noise_size: Numbers of noise per window, Z.
    """

    def __init__(self, noise_size: int) -> None:
        super().__init__()
        self.noise_size = noise_size


class DenseGenerator(ScanGenerator):
    """Dense layers, each with a ReLU, also the last: ranges are not negative.

    It knows nothing of scans. With one hidden layer of 128 and noise of 500 it has 287,040
    parameters, with a second hidden layer 303,552.

    Args:
        noise_size: Numbers of noise per window.
        layers: Hidden layers.
        width: Factor on the hidden layers; 1 is the published network.
    """

    def __init__(self, *, noise_size: int = NOISE, layers: int = 1, width: float = 1.0) -> None:
        super().__init__(noise_size)
        hidden = scaled(HIDDEN, width)
        sizes = [noise_size, *[hidden] * layers, NUM_PAST * NUM_RAYS]
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            parts += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.dense = nn.Sequential(*parts)

    def forward(self, noise_BZ: Tensor) -> Tensor:
        """Return windows of ranges [10 m], [B, T, R]."""
        scans_BTR: Tensor = self.dense(noise_BZ).unflatten(-1, (NUM_PAST, NUM_RAYS))
        return scans_BTR
