"""A collective that grows: more channels before the next task, the same function at first.

Wang et al. (AAAI 2022) widen a layer before every task by copies of its units, after Net2Net (Chen
et al., 2016). Here all layers share one map, so all of it is widened at once, and new channels are
fresh ones that nothing listens to yet: two copies of a channel would get the same step from Adam
for ever, unless noise told them apart, and then the function would not be quite the same.

Shape suffixes in this file: W = channels, F = node channels.
"""

import torch
from torch import Tensor, nn

from kdtasks.models.mimo_conv import ConvNet
from kdtasks.models.mimo_family import DetectorNet
from kdtasks.models.mimo_features import NODE_CHANNELS


def widened(network: DetectorNet, wider: DetectorNet) -> ConvNet:
    """Let a wider network compute what a narrower one does; return the wider one.

    Channels w of the narrower one become the first of the wider one. Weights from new channels to
    old ones and to the head become zero; those to new channels stay as they are.

    Args:
        network: Of convolutions and of one width, so that it has no adapters.
        wider: The same but for its width; changed in place.
    """
    assert isinstance(network, ConvNet)
    assert isinstance(wider, ConvNet)
    width = network.head.width
    mean_W, diagonal_W = torch.arange(width), wider.head.width + torch.arange(width)
    node_F = 2 * wider.head.width + torch.arange(NODE_CHANNELS)
    with torch.no_grad():
        for before, after in zip(network.layers, wider.layers, strict=True):
            for old, new in zip(_dense(before), _dense(after), strict=True):
                _put(old, new, torch.arange(old.in_features))
        inputs = torch.cat([mean_W, diagonal_W, node_F])
        for old, new in zip(_dense(network.head), _dense(wider.head), strict=True):
            _put(old, new, inputs)
            inputs = torch.arange(old.out_features)
        wider.gain.copy_(network.gain)
    return wider


def _dense(layer: nn.Module) -> list[nn.Linear]:
    return [part for part in layer.modules() if isinstance(part, nn.Linear)]


def _put(old: nn.Linear, new: nn.Linear, inputs: Tensor) -> None:
    """Put weights into the first rows of ``new``, which then take nothing but ``inputs``."""
    rows = old.out_features
    new.weight[:rows] = 0.0
    new.weight[:rows, inputs] = old.weight
    if old.bias is not None:
        new.bias[:rows] = old.bias
