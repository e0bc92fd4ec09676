"""Vehicles put where a test wants them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.constants import speed_of_light

from kdtasks.data import ray_tracing
from kdtasks.sensing.beams.format import DAY
from kdtasks.sensing.street import ray_traced
from kdtasks.sensing.street.geometry import blocked
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


def line_of_sight(program, job, *, scene, progress, files, given):
    """Stand in for Sionna RT: one path where no vehicle is in its way, from what it would get."""
    mast, antenna = np.array(job["mast"]), given["antenna"]
    length = np.linalg.norm(antenna - mast, axis=1)
    hidden = blocked(mast, antenna, given["low"][:, 1:], given["high"][:, 1:])
    gain = speed_of_light / job["carrier_hz"] / (4.0 * np.pi * length)
    found = {
        "gain": gain.astype(np.complex64),
        "delay": length / speed_of_light,
        "sine": antenna[:, 0] / length,
    }
    for name, values in found.items():
        np.save(files[name], np.where(hidden, 0.0, values)[:, None])
    for done in range(job["count"]):
        progress(done + 1, job["count"], job["unit"])


def without_sionna(patch: pytest.MonkeyPatch) -> list:
    """Have `line_of_sight` trace; return the list that its jobs are put into."""
    jobs = []

    def stand_in(program, job, **more):
        jobs.append(job)
        line_of_sight(program, job, **more)

    patch.setattr(ray_traced, "run_tracer", stand_in)
    patch.setattr(ray_tracing, "version", lambda name: f"{name} of the test")
    return jobs
