"""Knowledge inversion: a generator learns to make windows that a teacher takes for its own.

Source: Zakeri, Nguyen, Alkhateeb, Juntti, "Data-Free Knowledge Distillation for LiDAR-Aided Beam
Tracking in MmWave Systems" (2025): metadata, activation and entropy loss. Its final release has the
metadata loss only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from kdtasks.learning.losses import activation_loss, entropy_loss
from kdtasks.learning.training import Epoch, Schedule, Terms, fit
from kdtasks.lidar_beam.methods.metadata import Metadata, Observed
from kdtasks.lidar_beam.models.generator import ScanGenerator
from kdtasks.lidar_beam.models.network import LidarNetwork

STEPS = 20
"""Steps of what is reported as an epoch: a generator has no data to pass over."""

CLIP_NORM = 1.0
"""Gradients are cut to this norm, as in the released code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What the terms of a generator's loss weigh.

    Attributes:
        metadata: Of the distances of all groups, added.
        activation: Of `activation_loss` of the last hidden state.
        entropy: Of `entropy_loss` of the predicted slots.
    """

    metadata: float
    activation: float
    entropy: float


def generator_terms(observed: Observed, metadata: Metadata, weights: Weights) -> Terms:
    """Return the terms of a generator's loss.

    ``total`` is ``w_m metadata + w_a activation + w_e entropy``; every term is there whatever it
    weighs, and of the metadata every group on its own as well.

    Args:
        observed: Generated windows and what the teacher makes of them.
        metadata: What they should be like.
        weights: Of the terms.
    """
    distances = metadata.distances(observed)
    terms = {
        "metadata": torch.stack([torch.zeros(()), *distances.values()]).sum(),
        "activation": activation_loss(observed.outputs.hidden[:, -1]),
        "entropy": entropy_loss(observed.outputs.predicted),
    }
    total = (
        weights.metadata * terms["metadata"]
        + weights.activation * terms["activation"]
        + weights.entropy * terms["entropy"]
    )
    groups = {f"metadata_{group}": distance for group, distance in distances.items()}
    return {"total": total, **terms, **groups}


@dataclass(frozen=True, kw_only=True, slots=True)
class Inversion:
    """One generator to train.

    Attributes:
        generator: Freshly initialised.
        teacher: In evaluation mode; none of its parameters changes.
        metadata: What its windows should be like.
        weights: Of the terms.
        steps: A multiple of `STEPS`.
        batch_size: Windows per step; noise is drawn anew for each.
        learning_rate: Peak rate of Adam.
        noise: Where noise is drawn from.
    """

    generator: ScanGenerator
    teacher: LidarNetwork
    metadata: Metadata
    weights: Weights
    steps: int
    batch_size: int
    learning_rate: float
    noise: torch.Generator


def invert(inversion: Inversion) -> Iterator[Epoch]:
    """Train a generator; yields the mean of every term after each `STEPS` steps."""
    generator, teacher = inversion.generator, inversion.teacher
    teacher.eval().requires_grad_(False)
    size = (inversion.batch_size, generator.noise_size)

    def objective(_index: torch.Tensor) -> Terms:
        scans = generator(torch.randn(size, generator=inversion.noise))
        observed = Observed(scans, teacher(scans))
        return generator_terms(observed, inversion.metadata, inversion.weights)

    yield from fit(
        [generator],
        objective,
        num_samples=STEPS * inversion.batch_size,
        schedule=Schedule(
            epochs=inversion.steps // STEPS,
            batch_size=inversion.batch_size,
            learning_rate=inversion.learning_rate,
            rate_name="generator_rate",
            warmup_steps=STEPS,
            clip_norm=CLIP_NORM,
        ),
        # The order of samples makes no difference, but `fit` draws an order.
        generator=torch.Generator().manual_seed(0),
    )
