"""Sizes and marks that beam data, networks, losses and metrics share; no torch in here."""

from typing import Literal

Sensor = Literal["image", "radar", "gps", "power"]

RADAR_SHAPE = (2, 128, 64)
"""A range-angle and a Doppler-angle map: rows are range or Doppler, columns are angle."""


SCENE_STEP = 100_000_000
"""Added to the numbers of passages for each further scenario (base station) of the data."""

NUM_BEAMS = 64
"""Entries of a power vector, and of the codebook."""

NUM_RAYS = 216
"""Rays of a laser scan, evenly from 0 to 180 degrees."""

NUM_PAST = 8
"""Frames that a window looks back on."""

NUM_SLOTS = 4
"""Predicted slots: the newest frame's, t0, and three after it."""

NUM_STEPS = 10
"""Positions that a network sees of a window; the last `NUM_SLOTS` of them are the predictions."""

SCAN_STEPS = NUM_PAST + NUM_SLOTS - 1
"""The same of networks for laser scans: a step per scan and one per future slot."""

DAY, NIGHT, RAIN = 0, 1, 2
"""Conditions of a frame."""

CONDITIONS = {"day": DAY, "night": NIGHT, "rain": RAIN}
"""Every condition, by name."""

UNKNOWN_CONDITION = -1
"""Condition of a frame of which none is known."""
