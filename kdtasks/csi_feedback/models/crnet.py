"""CRNet's decoder, the same for teacher and student.

CRNet: Lu, Wang, Song, "Multi-resolution CSI Feedback with Deep Learning in Massive MIMO System",
ICC 2020. Widths of teacher and student: Cui et al., "Lightweight Neural Network with Knowledge
Distillation for CSI Feedback", section II and Table III.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers, M = codeword length.

CRNet's encoder, the teacher's.

CRNet: Lu, Wang, Song, "Multi-resolution CSI Feedback with Deep Learning in Massive MIMO System",
ICC 2020. Widths of teacher and student: Cui et al., "Lightweight Neural Network with Knowledge
Distillation for CSI Feedback", section II and Table III.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers, M = codeword length.

Layers that all CSI autoencoders are made of.
"""

import torch
from torch import Tensor, nn

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


HEAD_SCALE = 0.05
"""Start of the head's batch-norm scale. The output then starts near 0.5, which is the zero of the
picture; from the usual start of 1 training spends its first epochs on coming back."""


class CRBlock(nn.Module):
    """Two branches of factorised kernels, merged by 1x1, on a skip connection with ReZero scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch_a = nn.Sequential(
            conv_block(2, width, (3, 3)),
            conv_block(width, width, (1, 9)),
            conv_block(width, width, (9, 1)),
        )
        self.branch_b = nn.Sequential(
            conv_block(2, width, (1, 5)), conv_block(width, width, (5, 1))
        )
        self.merge = conv_bn(2 * width, 2, (1, 1))
        self.activation = nn.LeakyReLU(LEAK)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, picture_B2AC: Tensor) -> Tensor:
        """Return a refined picture of the same shape."""
        both = torch.cat([self.branch_a(picture_B2AC), self.branch_b(picture_B2AC)], dim=1)
        refined: Tensor = self.activation(picture_B2AC + self.scale * self.merge(both))
        return refined


class CRNetDecoder(nn.Module):
    """Dense layer, 5x5 head, two CRBlocks, sigmoid; the same for teacher and student."""

    def __init__(
        self, num_antennas: int, num_subcarriers: int, codeword_length: int, *, width: int = 8
    ) -> None:
        super().__init__()
        self.shape = (2, num_antennas, num_subcarriers)
        self.dense = nn.Linear(codeword_length, 2 * num_antennas * num_subcarriers)
        self.head = conv_bn(2, 2, (5, 5))
        self.blocks = nn.Sequential(CRBlock(width), CRBlock(width))
        norm = self.head[1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.constant_(norm.weight, HEAD_SCALE)

    def forward(self, codeword_BM: Tensor) -> Tensor:
        """Return pictures in [0, 1], shape [B, 2, A, C]."""
        rough = self.dense(codeword_BM).unflatten(1, self.shape)
        # Convolutions of few channels run 1.5 to 2 times faster in this memory layout.
        rough = rough.contiguous(memory_format=torch.channels_last)
        return torch.sigmoid(self.blocks(self.head(rough)))


class CRNetEncoder(nn.Module):
    """The teacher's encoder: two branches, merged by 1x1, then a dense layer.

    Branch A: 3x3 2->16, 1x9, 9x1. Branch B: 3x3 2->16. Merge: 1x1 32->2. The widths reproduce
    Table III of Cui et al. to the unit.
    """

    def __init__(self, num_antennas: int, num_subcarriers: int, codeword_length: int) -> None:
        super().__init__()
        self.branch_a = nn.Sequential(
            conv_block(2, 16, (3, 3)), conv_block(16, 16, (1, 9)), conv_block(16, 16, (9, 1))
        )
        self.branch_b = conv_block(2, 16, (3, 3))
        self.merge = conv_block(32, 2, (1, 1))
        self.dense = nn.Linear(2 * num_antennas * num_subcarriers, codeword_length)

    def forward(self, picture_B2AC: Tensor) -> Tensor:
        """Return codewords, shape [B, M]."""
        both = torch.cat([self.branch_a(picture_B2AC), self.branch_b(picture_B2AC)], dim=1)
        codeword: Tensor = self.dense(self.merge(both).flatten(1))
        return codeword
