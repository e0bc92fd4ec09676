"""CRNet's encoder, the teacher's.

CRNet: Lu, Wang, Song, "Multi-resolution CSI Feedback with Deep Learning in Massive MIMO System",
ICC 2020. Widths of teacher and student: Cui et al., "Lightweight Neural Network with Knowledge
Distillation for CSI Feedback", section II and Table III.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers, M = codeword length.
"""

import torch
from torch import Tensor, nn

from kdtasks.models.csi_layers import conv_block


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
