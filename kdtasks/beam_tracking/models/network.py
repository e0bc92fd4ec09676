"""A beam-tracking network: one pass per frame, then one over the sequence.

A frame goes through the branch of its sensor once, however many windows it is in; what the windows
need is gathered by index afterwards.

Shape suffixes in this file: N = frames, B = windows, T = positions of a window, F = features of a
frame, H = hidden units, C = beams, D = numbers that a branch gives.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdtasks.sensing.beams.format import NUM_SLOTS, Sensor


class BeamOutputs(NamedTuple):
    """Outputs of a network for windows, at every position.

    Attributes:
        logits: Of the beams, [B, T, C].
        frame_features: Normalised features of the frames, as the recurrent layer takes them,
            [B, T, F].
        output_features: What the classifier takes, [B, T, H].
    """

    logits: Tensor
    frame_features: Tensor
    output_features: Tensor

    def predicted(self) -> "BeamOutputs":
        """Return the same of the predicted slots only, T = 4."""
        return BeamOutputs(*(part[:, -NUM_SLOTS:] for part in self))


class Temporal(nn.Module):
    """Layer norm, recurrent layer, attention if any, classifier."""

    def __init__(self, gru: nn.GRU, attention: nn.Module | None, head: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(gru.input_size)
        self.gru = gru
        self.attention = nn.Identity() if attention is None else attention
        self.head = head

    def forward(self, features_BTF: Tensor) -> BeamOutputs:
        """Return logits and features at every position."""
        normed_BTF = self.norm(features_BTF)
        hidden_BTH, _ = self.gru(normed_BTF)
        output_BTH: Tensor = self.attention(hidden_BTH)
        return BeamOutputs(self.head(output_BTH), normed_BTF, output_BTH)


class BeamNetwork(nn.Module):
    """A branch per sensor, a fusion of their codes, and the sequence part.

    Attributes:
        sensors: Sensors in the order in which `frames` and `forward` take them.
    """

    def __init__(
        self, branches: Mapping[Sensor, nn.Module], fusion: nn.Module | None, temporal: Temporal
    ) -> None:
        super().__init__()
        self.sensors: tuple[Sensor, ...] = tuple(branches)
        self.branches = nn.ModuleDict({str(name): branch for name, branch in branches.items()})
        self.fusion = nn.Identity() if fusion is None else fusion
        self.temporal = temporal
        # Convolutions of few channels run faster in this memory layout: a step of training takes
        # 0.4 of the time for the image student, 0.8 for its teacher.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs

    @property
    def num_features(self) -> int:
        """Features of a frame, F."""
        return self.temporal.gru.input_size

    @property
    def num_outputs(self) -> int:
        """Features that the classifier takes, H."""
        return self.temporal.gru.hidden_size

    def code(self, sensor: Sensor, frames_N: Tensor) -> Tensor:
        """Return what a sensor's branch makes of frames, [N, D]; the costly part of a network."""
        if frames_N.ndim == 4:
            frames_N = frames_N.contiguous(memory_format=torch.channels_last)
        code_ND: Tensor = self.branches[sensor](frames_N)
        return code_ND

    def fuse(self, codes: Sequence[Tensor]) -> Tensor:
        """Return frame features, ready for the layer norm, from the codes of all sensors.

        Args:
            codes: One per sensor, in the order of ``sensors``; shapes [..., D] with equal dots.

        Returns:
            Features, [..., F].
        """
        features: Tensor = self.fusion(torch.cat(list(codes), dim=-1))
        return features

    def frames(self, *frames_N: Tensor) -> Tensor:
        """Return features of frames, ready for the layer norm, [N, F].

        Args:
            frames_N: One tensor per sensor, in the order of ``sensors``: images [N, 1, S, S],
                radar maps [N, 2, 128, 64], positions [N, 2], powers [N, 64].
        """
        pairs = zip(self.sensors, frames_N, strict=True)
        return self.fuse([self.code(sensor, frames) for sensor, frames in pairs])

    def sequence(self, features_BTF: Tensor) -> BeamOutputs:
        """Return the outputs for windows whose frame features are known."""
        outputs: BeamOutputs = self.temporal(features_BTF)
        return outputs

    def gathered(
        self, distinct: Mapping[Sensor, Tensor], index: Mapping[Sensor, Tensor]
    ) -> BeamOutputs:
        """Return the outputs for windows that share frames; each runs through once.

        In evaluation mode these are the numbers of `forward` on whole windows. In training mode
        batch norm sees a shared frame once, and dropout in a branch hits it once for all windows.

        Args:
            distinct: Frames of each sensor, [N, ...]; one of them is all zero where windows need
                padding.
            index: Which of these each window has at each position, [B, T], integers.
        """
        codes = [self.code(sensor, distinct[sensor])[index[sensor]] for sensor in self.sensors]
        return self.sequence(self.fuse(codes))

    def forward(self, *windows_BT: Tensor) -> BeamOutputs:
        """Return the outputs for whole windows.

        Args:
            windows_BT: One tensor per sensor, as in `frames` with [B, T, ...] for [N, ...].
        """
        steps = windows_BT[0].shape[:2]
        features_NF = self.frames(*(window.flatten(0, 1) for window in windows_BT))
        return self.sequence(features_NF.view(*steps, -1))
