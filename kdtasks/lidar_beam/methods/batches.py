"""Windows of laser scans as networks take them.

Shape suffixes in this file: F = frames, R = rays, W = windows of a split, B = windows of a batch,
T = scans of a window, or predicted slots.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdtasks.contract.task import Arrays
from kdtasks.learning.device import on_host
from kdtasks.learning.tensors import as_tensor

RANGE_UNIT_M = 10.0
"""Ranges are divided by this [m], as in the released code; nothing else is done to them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scans:
    """The windows of a split.

    Attributes:
        range_FR: Every scan once [10 m].
        window_WT: Scans of each window.
        label_WT: Best beams.
        passage_W: Passage of each window; on the CPU, where pairs are drawn.
    """

    range_FR: Tensor
    window_WT: Tensor
    label_WT: Tensor
    passage_W: Tensor

    def __len__(self) -> int:
        return len(self.window_WT)

    def after(self, start: int) -> "Scans":
        """Return the windows from a number on."""
        return replace(
            self,
            window_WT=self.window_WT[start:],
            label_WT=self.label_WT[start:],
            passage_W=self.passage_W[start:],
        )

    def gathered(self, chosen_B: Tensor | slice) -> Tensor:
        """Return the ranges of some windows [10 m], [B, T, R]."""
        return self.range_FR[self.window_WT[chosen_B]]


def scans_of(split: Arrays) -> Scans:
    """Return the windows of a split.

    Args:
        split: Arrays of a split: ``lidar`` [F, 216] [m], ``window`` [W, 8], ``label`` [W, 4],
            ``passage`` [W].
    """
    range_FR = as_tensor(split["lidar"]).to(torch.get_default_dtype())
    with on_host():
        passage_W = as_tensor(split["passage"])
    return Scans(
        range_FR=range_FR / RANGE_UNIT_M,
        window_WT=as_tensor(split["window"]).long(),
        label_WT=as_tensor(split["label"]),
        passage_W=passage_W,
    )
