"""A network from laser scans to beams: a linear or convolutional code per scan, then a GRU.

Source: Zakeri, Nguyen, Alkhateeb, Juntti, "Data-Free Knowledge Distillation for LiDAR-Aided Beam
Tracking in MmWave Systems" (2025); sizes and order of the layers follow its released code.

Shape suffixes in this file: B = windows, T = scans of a window, S = steps, R = rays, E = embedding,
H = hidden units, C = beams.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS, SCAN_STEPS


class LidarOutputs(NamedTuple):
    """Outputs of a network for windows, at every step.

    Attributes:
        logits: Of the beams, [B, S, C].
        embedding: Codes of the scans, [B, S, E].
        hidden: States of the recurrent layer, [B, S, H]. The last is what the paper calls features.
    """

    logits: Tensor
    embedding: Tensor
    hidden: Tensor

    @property
    def predicted(self) -> Tensor:
        """Logits of the predicted slots, [B, 4, C]."""
        return self.logits[:, -NUM_SLOTS:]


class LidarNetwork(nn.Module):
    """Code of a scan, dropout, GRU, linear classifier.

    Behind the scans of a window follow as many empty ones as there are future slots; the last four
    steps are the predictions.

    Args:
        encoder: Maps scans [N, R] to codes [N, E].
        gru: Recurrent layer, batch first.
        dropout: Share of the codes that is dropped in training.
    """

    def __init__(self, encoder: nn.Module, gru: nn.GRU, *, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.gru = gru
        self.head = nn.Linear(gru.hidden_size, NUM_BEAMS)

    def forward(self, scan_BTR: Tensor) -> LidarOutputs:
        """Return logits, codes and states at all 11 steps of windows of 8 scans.

        Args:
            scan_BTR: Ranges [10 m], 0 where nothing returns, see `lidar_batches.RANGE_UNIT_M`.
        """
        padded_BSR = F.pad(scan_BTR, (0, 0, 0, SCAN_STEPS - scan_BTR.shape[1]))
        embedding_BSE = self.encoder(padded_BSR.flatten(0, 1)).unflatten(0, padded_BSR.shape[:2])
        hidden_BSH, _ = self.gru(self.dropout(embedding_BSE))
        return LidarOutputs(self.head(hidden_BSH), embedding_BSE, hidden_BSH)
