"""Vehicles put where a test wants them."""

from dataclasses import replace

import numpy as np

from kdtasks.sensing.beams.format import DAY
from kdtasks.sensing.street.traffic import KINDS, Passage, StreetConfig

STREET = StreetConfig()

AWAY = (500.0, 13.0)
"""Where no sensor sees a vehicle."""


def placed(*vehicles, street=STREET, size=KINDS["van"], condition=DAY):
    """Return a passage of one frame; each vehicle is x, y and optionally velocity and size.

    The first one is the target.
    """
    low, high, velocity = [], [], []
    for x, y, *more in vehicles:
        speed, (length, width, height) = [*more, *(10.0, size)[len(more) :]]
        low.append([x - length / 2, y - width / 2, 0.0])
        high.append([x + length / 2, y + width / 2, height])
        velocity.append(speed)
    return Passage(
        street=street,
        index=0,
        condition=condition,
        low_FVD=np.array([low]),
        high_FVD=np.array([high]),
        velocity_FV=np.array([velocity]),
        albedo_V=np.full(len(vehicles), 0.93),
    )


def still(passage):
    """Return the passage with every vehicle at rest."""
    return replace(passage, velocity_FV=np.zeros_like(passage.velocity_FV))
