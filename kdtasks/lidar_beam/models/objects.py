r"""Objects that pass a laser scanner: a renderer with a gradient, and a generator that moves them.

It is ours and not the paper's: that scans show few objects, each on neighbouring rays, which move
smoothly, is knowledge of the sensor that the published generator has not.

At scan :math:`t \in \{-3.5, \dots, 3.5\}` an object of centre c [rays], speed v [rays/scan],
acceleration a and half-width w covers the rays j with
:math:`w - |j - (c + v t + a t^2)| > 0`, at range r + t times its rate, at least 0.05.
Steps have no gradient: forward they are hard, backward they are a logistic function.

Shape suffixes in this file: B = windows, O = objects, T = scans, R = rays, Z = noise, Q = numbers
of an object.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdtasks.learning.tensors import scaled
from kdtasks.lidar_beam.models.generator import ScanGenerator
from kdtasks.sensing.beams.format import NUM_PAST, NUM_RAYS

OBJECTS = 2
"""Objects of a window: one that is always there and one that may be."""

NEAREST = 0.05
"""Least range [10 m]: an object is never rendered as an empty ray."""

EDGE_RAYS = 1.5
"""Width of an edge where it has a gradient [rays]."""

SPREAD = (0.9, 1.0, 0.3, 0.7, 0.5, 0.5, 0.7)
"""Standard deviations over noise that a new generator has for the seven numbers of an object; their
means are 0. Both are set by hand, so what an untrained generator makes is no blank sheet. They let
its objects be everywhere from the start; what torch starts with keeps them in the middle, and some
generators never get out of there. Means that are left to chance (as in the recipe that the
deviations are from) put most objects of some generators to one side."""

NOISE, HIDDEN, CALIBRATION = 32, 128, 1024


class Objects(NamedTuple):
    """Objects in windows, each entry [B, O].

    Attributes:
        centre: Of the covered rays, in the middle of the window [ray].
        speed: [rays/scan].
        acceleration: Factor on the square of the time [rays/scan^2].
        half_width: [rays].
        range: In the middle of the window [10 m].
        range_rate: [10 m/scan].
        present: 1 or 0.
    """

    centre: Tensor
    speed: Tensor
    acceleration: Tensor
    half_width: Tensor
    range: Tensor
    range_rate: Tensor
    present: Tensor


def hard_step(value: Tensor, softness: float) -> Tensor:
    """Return 1 where a value is above 0, else 0; the gradient is that of a logistic function."""
    soft = torch.sigmoid(value / softness)
    return (value > 0).to(value.dtype) + (soft - soft.detach())  # the brackets are exactly 0


def render(objects: Objects) -> Tensor:
    """Return what a scanner sees of objects, ranges [10 m], [B, T, R]; of two the nearer.

    Args:
        objects: Two per window.
    """
    time_T1 = torch.arange(NUM_PAST, dtype=objects.centre.dtype)[:, None] - (NUM_PAST - 1) / 2
    ray_R = torch.arange(NUM_RAYS, dtype=objects.centre.dtype)
    centre, speed, acceleration, half_width, start, rate, present = (
        part[..., None, None] for part in objects
    )
    place_BOT1 = centre + speed * time_T1 + acceleration * time_T1**2
    inside_BOTR = half_width - (ray_R - place_BOT1).abs()
    gate_BOTR = hard_step(inside_BOTR, EDGE_RAYS) * present
    range_BOT1 = (start + rate * time_T1).clamp_min(NEAREST)
    (one, other), (near, far) = gate_BOTR.unbind(1), range_BOT1.unbind(1)
    first = (near <= far).to(near.dtype)
    return one * near * (1 - other * (1 - first)) + other * far * (1 - one * first)


class ObjectGenerator(ScanGenerator):
    """Two dense layers from noise to seven numbers for each of two objects, then `render`.

    Of width 1 it has 22,414 parameters.

    Args:
        noise_size: Numbers of noise per window; one of them decides on the second object.
        width: Factor on the hidden layers.
    """

    def __init__(self, *, noise_size: int = NOISE, width: float = 1.0) -> None:
        super().__init__(noise_size)
        hidden = scaled(HIDDEN, width)
        self.trunk = nn.Sequential(
            nn.Linear(noise_size - 1, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
        )
        self.numbers = nn.Linear(hidden, OBJECTS * len(SPREAD))
        self._calibrate()

    def _calibrate(self) -> None:
        """Scale and shift the last layer so that its numbers have mean 0 and `SPREAD`."""
        with torch.no_grad():
            given = self.numbers(self.trunk(torch.randn(CALIBRATION, self.noise_size - 1)))
            scale = torch.tensor(SPREAD * OBJECTS) / given.std(0)
            self.numbers.weight.mul_(scale[:, None])
            self.numbers.bias.sub_(given.mean(0)).mul_(scale)

    def forward(self, noise_BZ: Tensor) -> Tensor:
        """Return windows of ranges [10 m], [B, T, R]."""
        return render(self.objects(noise_BZ))

    def objects(self, noise_BZ: Tensor) -> Objects:
        """Return the objects of windows."""
        numbers: Tensor = self.numbers(self.trunk(noise_BZ[:, :-1]))
        q0, q1, q2, q3, q4, q5, q6 = numbers.view(-1, OBJECTS, len(SPREAD)).unbind(-1)
        # A normal number through its own distribution and a logit is logistic noise, and a step
        # of a logit plus that is a draw with the logit's probability.
        chance_B = torch.special.ndtr(noise_BZ[:, -1]).clamp(1e-6, 1 - 1e-6)
        second_B = hard_step(q6[:, 1] - 0.5 + torch.logit(chance_B), 1.0)
        return Objects(
            centre=(NUM_RAYS - 1) / 2 + 60.0 * q0,
            speed=3.0 * q1,
            acceleration=0.2 * q2,
            half_width=4.0 * F.softplus(q3 + 1.0),
            range=F.softplus(q4 + 0.5),
            range_rate=0.05 * q5,
            present=torch.stack([torch.ones_like(second_B), second_B], dim=1),
        )


def hand_set_objects(count: int, generator: torch.Generator) -> Objects:
    """Return objects from distributions set by hand, without any training.

    Centres are anywhere, speeds in both directions, widths and ranges those of vehicles on a
    street: what somebody who knows the site, but has no data of it, would try. Two objects, the
    second in 27 % of windows, is what the street has by default; parameters ``distractors`` and
    ``max_distractors`` of the task make one with traffic that is not known here.

    Args:
        count: Windows.
        generator: Source of the draws.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, OBJECTS, generator=generator)

    second_B = (torch.rand(count, generator=generator) < 1 / (1 + math.e)).float()
    return Objects(
        centre=uniform(0.0, NUM_RAYS),
        speed=uniform(-4.0, 4.0),
        acceleration=uniform(-0.1, 0.1),
        half_width=uniform(1.0, 20.0),
        range=uniform(0.5, 3.0),
        range_rate=torch.zeros(count, OBJECTS),
        present=torch.stack([torch.ones_like(second_B), second_B], dim=1),
    )
