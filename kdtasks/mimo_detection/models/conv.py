"""SDNet of convolutions: zero forcing and the estimate in, corrections of its decisions out.

[DESIGN] after Zhang et al. (2025), who name their layers "Conv" and give no details. Logits are

    gain * skip + head(map, nodes)

so a fresh network decides exactly as zero forcing does (or LMMSE, if it skips from that).

Shape suffixes in this file: B = channel uses, N = real streams, F = node channels, E = edge
channels, W = channels of a map, M = bits per real stream.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kdtasks.mimo_detection.models.layers import CutAdapter, DetectorHead, PixelBlock, PixelInput

Adapter = Literal["linear", "cut"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvPlan:
    """What a network is made of.

    Attributes:
        widths: Channels after the input layer and after each block. Where two differ, or the last
            one and the head, an adapter stands between them.
        head_width: Channels that the head takes.
        hidden: Sizes of the head's hidden layers.
        bits: Logits per real stream.
        adapter: ``linear``: a 1 x 1 convolution. ``cut``: channels are cut off or zeros added.
    """

    widths: tuple[int, ...]
    head_width: int
    hidden: tuple[int, ...]
    bits: int = 1
    adapter: Adapter = "linear"


class ConvNet(nn.Module):
    """The network of a plan.

    Args:
        plan: What it is made of.
    """

    reads: ClassVar[tuple[str, ...]] = ("node_BNF", "edge_BNNE", "skip_BNM")
    """What it takes of `DetectorInputs`, in order."""

    def __init__(self, plan: ConvPlan) -> None:
        super().__init__()
        first, *others = plan.widths
        self.layers = nn.ModuleList([PixelInput(first), *(PixelBlock(width) for width in others)])
        joints = enumerate(pairwise([*plan.widths, plan.head_width]), start=1)
        self.adapters = nn.ModuleDict(
            {str(place): _adapter(a, b, plan.adapter) for place, (a, b) in joints if a != b}
        )
        self.head = DetectorHead(plan.head_width, plan.hidden, plan.bits)
        self.gain = nn.Parameter(torch.ones(plan.bits))

    @property
    def units(self) -> dict[str, nn.Module]:
        """What can be inherited, from the bottom to the top; adapters and the gain cannot."""
        names = ["input", *(f"block-{number}" for number in range(1, len(self.layers)))]
        return {**dict(zip(names, self.layers, strict=True)), "head": self.head}

    def forward(self, node_BNF: Tensor, edge_BNNE: Tensor, skip_BNM: Tensor) -> Tensor:
        """Return logits in the gauge, shape [1, B, N, M]."""
        map_BNNW = edge_BNNE
        for place, layer in enumerate(self.layers):
            map_BNNW = layer(self._joined(place, map_BNNW))
        found_BNM = self.head(self._joined(len(self.layers), map_BNNW), node_BNF)
        logits_BNM: Tensor = self.gain * skip_BNM + found_BNM
        return logits_BNM[None]

    def _joined(self, place: int, map_BNNW: Tensor) -> Tensor:
        name = str(place)
        joined: Tensor = self.adapters[name](map_BNNW) if name in self.adapters else map_BNNW
        return joined


def _adapter(before: int, after: int, kind: Adapter) -> nn.Module:
    return nn.Linear(before, after) if kind == "linear" else CutAdapter(after)
