"""Windows of frames as tensors: their arrays by sensor, conditions, and the logits of slots."""

from torch import Tensor, nn

from kdtasks.contract.task import Arrays
from kdtasks.learning.tensors import as_tensor
from kdtasks.sensing.beams.format import NUM_SLOTS, Sensor

ARRAYS: dict[Sensor, tuple[str, str]] = {
    "image": ("mask", "mask_index"),
    "radar": ("radar", "window"),
    "gps": ("gps", "window"),
    "power": ("power", "window"),
}
"""Arrays of a split that hold a sensor's frames, and which of them each window has."""


def conditions_of(split: Arrays) -> Tensor:
    """Return the condition of each window of a split, that of its last past frame, [W]."""
    return as_tensor(split["condition"][split["window"][:, -1]])


class PredictedLogits(nn.Module):
    """A network of beams that returns the logits of the predicted slots alone.

    Args:
        network: Returns ``logits`` of all steps, [B, S, C].
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *windows: Tensor) -> Tensor:
        """Return logits of the current and three future slots, [B, 4, C]."""
        logits_BSC: Tensor = self.network(*windows).logits
        return logits_BSC[:, -NUM_SLOTS:]
