"""Windows of frames as tensors: their arrays by sensor, and their conditions."""

from torch import Tensor

from kdtasks.contract.task import Arrays
from kdtasks.learning.tensors import as_tensor
from kdtasks.sensing.beams.format import Sensor

ARRAYS: dict[Sensor, tuple[str, str]] = {
    "image": ("mask", "mask_index"),
    "radar": ("radar", "window"),
    "gps": ("gps", "window"),
}
"""Arrays of a split that hold a sensor's frames, and which of them each window has."""


def conditions_of(split: Arrays) -> Tensor:
    """Return the condition of each window of a split, that of its last past frame, [W]."""
    return as_tensor(split["condition"][split["window"][:, -1]])
