"""Windows for beam-tracking networks: seeded frames, padded with zeros as the task pads them."""

import numpy as np
import torch

from kdtasks.learning.random import initialised
from kdtasks.sensing.beams.format import NUM_STEPS, RADAR_SHAPE

SIDE = 64
FRAME = {"image": (1, SIDE, SIDE), "radar": RADAR_SHAPE, "gps": (2,), "power": (64,)}
SEEN = {"image": 7, "radar": 8, "gps": 8, "power": 7}
"""Positions of a window that hold something; what is left of the ten is zero."""


def distinct_frames(sensor, count, *, seed=0, dtype=torch.float32):
    """Return frames of a sensor and, as the last of them, one that is all zero."""
    rng = np.random.default_rng([seed, SEEN[sensor], len(FRAME[sensor])])
    values = rng.random((count, *FRAME[sensor]))
    if sensor == "image":
        values = (values < 0.1).astype(np.float64)
    values = np.concatenate([values, np.zeros_like(values[:1])])
    return torch.from_numpy(values).to(dtype)


def sliding_index(sensor, num_windows):
    """Return which frames windows have that start one after the other; -1 is the zero frame."""
    index = torch.arange(num_windows)[:, None] + torch.arange(NUM_STEPS)[None, :]
    index[:, SEEN[sensor] :] = -1
    return index


def shared_windows(model, num_windows, *, seed=0, dtype=torch.float32):
    """Return distinct frames and indices by sensor, as `BeamNetwork.gathered` takes them."""
    frames = {
        sensor: distinct_frames(sensor, num_windows + 7, seed=seed, dtype=dtype)
        for sensor in model.sensors
    }
    return frames, {sensor: sliding_index(sensor, num_windows) for sensor in model.sensors}


def whole_windows(model, num_windows, *, seed=0, dtype=torch.float32):
    """Return the same windows whole, one tensor per sensor."""
    frames, index = shared_windows(model, num_windows, seed=seed, dtype=dtype)
    return [frames[sensor][index[sensor]] for sensor in model.sensors]


def built(model, *, image_size=SIDE, width=1.0, seed=0):
    """Return a network of the family with seeded weights."""
    return initialised(seed, model.name, lambda: model.build(image_size=image_size, width=width))
