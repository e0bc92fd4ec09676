"""Layers that beam-tracking networks are made of.

From "Knowledge Distillation for Collaborative Learning in Distributed Communications and Sensing",
section IV, and the sizes in Table II.

Shape suffixes in this file: N = frames, B = windows, T = positions of a window, H = hidden units,
XYK = channels, rows, columns.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kdtasks.sensing.beams.format import NUM_BEAMS

FEATURES = 64
"""Features of a frame, and hidden units of the recurrent layer, of every published network."""


class ChannelGate(nn.Module):
    """Scales each channel by a number in (0, 1) that follows from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.activation = nn.ReLU()
        self.excite = nn.Conv2d(hidden, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, map_NXYK: Tensor) -> Tensor:
        """Return a map of the same shape."""
        hidden = self.activation(self.squeeze(self.pool(map_NXYK)))
        scaled_NXYK: Tensor = map_NXYK * self.gate(self.excite(hidden))
        return scaled_NXYK


class SpatialGate(nn.Module):
    """Scales each place of a map by a number in (0, 1) that follows from its neighbourhood."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, 1, 7, padding=3)
        self.gate = nn.Sigmoid()

    def forward(self, map_NXYK: Tensor) -> Tensor:
        """Return a map of the same shape."""
        scaled_NXYK: Tensor = map_NXYK * self.gate(self.look(map_NXYK))
        return scaled_NXYK


class AverageAndMax(nn.Module):
    """Mean and maximum of each channel, in this order."""

    def __init__(self) -> None:
        super().__init__()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.maximum = nn.AdaptiveMaxPool2d(1)

    def forward(self, map_NXYK: Tensor) -> Tensor:
        """Return [N, 2 X]."""
        both = [self.average(map_NXYK), self.maximum(map_NXYK)]
        return torch.cat(both, dim=1).flatten(1)


class AdditiveAttention(nn.Module):
    r"""Adds one mixture of all positions to each of them.

    .. math:: e_t = h_t + \sum_s a_s h_s, \quad a = \mathrm{softmax}_s(v^T \tanh(W h_s + b) + c)

    It runs over all positions, those of the future included.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, hidden)
        self.activation = nn.Tanh()
        self.score = nn.Linear(hidden, 1)

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        """Return output features, same shape."""
        scores_BT1 = self.score(self.activation(self.project(hidden_BTH)))
        context_B1H = (torch.softmax(scores_BT1, dim=1) * hidden_BTH).sum(1, keepdim=True)
        return hidden_BTH + context_B1H


class SelfAttention(nn.Module):
    """Adds to each position what 8 heads of attention, without mask, find at all of them."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(features, 8, dropout=0.1, batch_first=True)

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        """Return output features, same shape."""
        found_BTH, _ = self.attend(hidden_BTH, hidden_BTH, hidden_BTH, need_weights=False)
        attended_BTH: Tensor = hidden_BTH + found_BTH
        return attended_BTH


def recurrent(inputs: int, hidden: int, *, layers: int = 1, dropout: float = 0.0) -> nn.GRU:
    """Return a GRU over windows; dropout acts between its layers, so one layer has none."""
    between = dropout if layers > 1 else 0.0
    return nn.GRU(inputs, hidden, num_layers=layers, dropout=between, batch_first=True)


def dense(sizes: Sequence[int], dropouts: Sequence[float]) -> nn.Sequential:
    """Return dense layers; after each but the last follow ReLU and, where not 0, dropout.

    Args:
        sizes: Inputs, sizes between layers, outputs.
        dropouts: Shares that are dropped, one for each layer but the last.
    """
    layers: list[nn.Module] = []
    shares = [*dropouts, None]
    for inputs, outputs, share in zip(sizes[:-1], sizes[1:], shares, strict=True):
        layers.append(nn.Linear(inputs, outputs))
        if share is not None:
            layers.append(nn.ReLU())
            layers += [nn.Dropout(share)] if share else []
    return nn.Sequential(*layers)


def head(hidden: int, dropouts: Sequence[float]) -> nn.Sequential:
    """Return a classifier with as many hidden layers as there are dropouts."""
    return dense([*[hidden] * (len(dropouts) + 1), NUM_BEAMS], dropouts)


TEACHER_DROPOUTS = (0.5, 0.3, 0.2)
"""Of the dense layers behind a teacher's convolutions."""


def teacher_dense(inputs: int) -> nn.Sequential:
    """Return the dense layers behind a teacher's convolutions."""
    return dense([inputs, 512, 128, FEATURES, FEATURES], TEACHER_DROPOUTS)


def conv_bn_relu(inputs: int, outputs: int, *, stride: int, bias: bool) -> nn.Sequential:
    """Return a 3 x 3 convolution with padding 1, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def separable(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    """Return a depthwise 3 x 3 convolution and a pointwise one, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def teacher_stem(image_size: int) -> tuple[nn.Sequential, int]:
    """Return a teacher's convolutions over gray images, and how many numbers come out of them.

    Five blocks of convolution, batch norm, ReLU and 2 x 2 maximum; 64 channels at the end.

    Raises:
        ValueError: If the side of the images is not a multiple of 32.
    """
    if image_size % 32 or image_size <= 0:
        raise ValueError(f"images are halved five times: need a multiple of 32, got {image_size=}")
    blocks = [
        nn.Sequential(*conv_bn_relu(inputs, outputs, stride=1, bias=True), nn.MaxPool2d(2))
        for inputs, outputs in pairwise((1, 4, 8, 16, 32, 64))
    ]
    return nn.Sequential(*blocks), 64 * (image_size // 32) ** 2
