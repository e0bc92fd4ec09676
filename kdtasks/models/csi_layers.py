"""Layers that all CSI autoencoders are made of."""

from torch import nn

LEAK = 0.3
"""Slope of every LeakyReLU (Cui et al., section II)."""


def conv_bn(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Sequential:
    """Return a same-size convolution with batch norm; its bias would be absorbed by the norm."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False), nn.BatchNorm2d(outputs)
    )


def conv_block(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Sequential:
    """Return convolution, batch norm and LeakyReLU."""
    return nn.Sequential(*conv_bn(inputs, outputs, kernel), nn.LeakyReLU(LEAK))
