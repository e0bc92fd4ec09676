"""The family of light encoders that students take; CRNet-SE (Cui et al., section II) is one.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers, M = codeword length.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from kdtasks.csi_feedback.models.crnet import conv_block


@dataclass(frozen=True, kw_only=True, slots=True)
class LightShape:
    """One member of the family; the defaults are CRNet-SE.

    Attributes:
        depth: Number of convolutions before the dense layer; 0 is a linear code.
        width: Channels between convolutions; without effect below depth 2.
        kernel: Odd kernel size.
        factorised: Replace each k x k kernel by 1 x k followed by k x 1.
    """

    depth: int = 1
    width: int = 2
    kernel: int = 3
    factorised: bool = False


class LightEncoder(nn.Module):
    """A student's encoder: a few convolutions, then a dense layer.

    The last convolution always returns to 2 channels, so that the dense layer keeps its size.
    """

    def __init__(
        self, num_antennas: int, num_subcarriers: int, codeword_length: int, shape: LightShape
    ) -> None:
        super().__init__()
        channels = [2, *[shape.width] * (shape.depth - 1), 2] if shape.depth else [2]
        kernel = shape.kernel
        # Pictures lie closely around 0.5. Convolutions bring a batch norm that takes care of it; a
        # linear code without one stayed at 0 dB for the four epochs of the quick preset.
        layers: list[nn.Module] = [] if shape.depth else [nn.BatchNorm2d(2)]
        for inputs, outputs in pairwise(channels):
            if shape.factorised:
                layers.append(conv_block(inputs, outputs, (1, kernel)))
                layers.append(conv_block(outputs, outputs, (kernel, 1)))
            else:
                layers.append(conv_block(inputs, outputs, (kernel, kernel)))
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(2 * num_antennas * num_subcarriers, codeword_length)

    def forward(self, picture_B2AC: Tensor) -> Tensor:
        """Return codewords, shape [B, M]."""
        codeword: Tensor = self.dense(self.convolutions(picture_B2AC).flatten(1))
        return codeword
