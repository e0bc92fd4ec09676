"""Networks that take positions, powers of the beams, or both. They are ours.

Shape suffixes in this file: N = frames, F = features of a frame, B = beams.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdtasks.beam_tracking.models.image import small_temporal
from kdtasks.beam_tracking.models.layers import dense
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.sensing.beams.format import NUM_BEAMS, Sensor

POSITION_SCALE_M = 50.0
"""Positions are divided by this [m]: about how far a street is seen from its base station."""

LEAST_POWER = 1e-12
"""Below it the strongest beam of a frame counts as no power at all."""


class PositionBranch(nn.Module):
    """Two dense layers on positions that are scaled to about one."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = dense([2, features, features], (0.0,))

    def forward(self, position_N2: Tensor) -> Tensor:
        """Return features of positions [m], [N, F]."""
        features_NF: Tensor = self.dense(position_N2 / POSITION_SCALE_M)
        return features_NF


class PowerBranch(nn.Module):
    """Two dense layers on powers relative to the strongest beam of their frame.

    So the unit of the powers has no effect. An unknown power, NaN, counts as none.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = dense([NUM_BEAMS, features, features], (0.0,))

    def forward(self, power_NB: Tensor) -> Tensor:
        """Return features of linear powers, [N, F]."""
        known_NB = torch.where(power_NB > 0.0, power_NB, 0.0)
        most_N1 = known_NB.amax(dim=-1, keepdim=True).clamp_min(LEAST_POWER)
        features_NF: Tensor = self.dense(known_NB / most_N1)
        return features_NF


BRANCHES: dict[Sensor, type[PositionBranch] | type[PowerBranch]] = {
    "gps": PositionBranch,
    "power": PowerBranch,
}


class SignalNetwork(BeamNetwork):
    """Positions relative to the base station, powers, or both, to beams. Not published.

    Two dense layers per sensor, a dense layer over both, then the sequence part of the image
    student.

    Args:
        sensors: Of `BRANCHES`.
        features: Features of a frame, and hidden units.
    """

    def __init__(self, sensors: Sequence[Sensor], features: int) -> None:
        fusion = nn.Sequential(nn.Linear(len(sensors) * features, features), nn.ReLU())
        super().__init__(
            {sensor: BRANCHES[sensor](features) for sensor in sensors},
            fusion if len(sensors) > 1 else None,
            small_temporal(features),
        )
