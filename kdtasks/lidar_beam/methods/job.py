"""The one training that all networks of LiDAR beam tracking share, on whatever windows.

Shape suffixes in this file: W = windows of a split, B = windows of a batch, T = predicted slots,
S = steps, C = beams.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdtasks.contract.task import Report, prefixed
from kdtasks.learning.losses import slot_cross_entropy
from kdtasks.learning.random import drawing_from
from kdtasks.learning.training import Objective, Schedule, Terms, batches, fit
from kdtasks.lidar_beam.methods.batches import Scans
from kdtasks.lidar_beam.models.network import LidarNetwork, LidarOutputs
from kdtasks.sensing.beams.metrics import beam_scores

CLIP_NORM = 1.0
"""Gradients are cut to this norm, as in the released code."""

Judge = Callable[[LidarNetwork], float]
"""A loss by which an epoch is chosen; lower is better."""

LossOfWindows = Callable[[LidarOutputs, Tensor], Terms]
"""Terms of the loss from what a network says of some training windows, and which these are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One network to train.

    Attributes:
        network: Freshly initialised.
        objective: Terms of the loss from the indices of samples.
        num_samples: Samples of an epoch.
        schedule: Epochs, rates, sizes.
        order: Where the order of samples is drawn from.
        val: Windows that are scored after each epoch, if there are any. What is learnt does not
            depend on them.
        judge: Chooses the epoch whose weights stay; None takes the last one.
        epochs_before: Epochs of earlier stages of the same training.
    """

    network: LidarNetwork
    objective: Objective
    num_samples: int
    schedule: Schedule
    order: torch.Generator
    val: Scans | None
    judge: Judge | None
    epochs_before: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        network: The network, with the weights that were chosen.
        scores: Of these weights on the validation split, as `score` gives them, if there is one.
        core_seconds: CPU time of the training, without validation [s].
        samples: Samples that it was trained on, repetitions included.
    """

    network: LidarNetwork
    scores: dict[str, float]
    core_seconds: float
    samples: int


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train a network; yields a report after each epoch, with the scores it has by then."""
    network = job.network
    least, weights, spent, samples = float("inf"), dict[str, Tensor](), 0.0, 0
    for epoch in fit(
        [network],
        job.objective,
        num_samples=job.num_samples,
        schedule=job.schedule,
        generator=job.order,
    ):
        spent, samples = epoch.core_seconds, epoch.samples
        if job.judge is not None and (loss := job.judge(network)) < least:
            least = loss
            weights = {name: part.clone() for name, part in network.state_dict().items()}
        losses = {f"train_{name}_loss": term for name, term in epoch.terms.items()}
        yield Report(
            epoch=job.epochs_before + epoch.number,
            epochs=job.epochs_before + job.schedule.epochs,
            metrics={**losses, **prefixed("val", _scores(job))},
        )
    if weights:
        network.load_state_dict(weights)
    return Trained(network=network, scores=_scores(job), core_seconds=spent, samples=samples)


def _scores(job: Job) -> dict[str, float]:
    return {} if job.val is None else score(job.network, job.val)


def on_scans(
    network: LidarNetwork, scans: Scans, loss: LossOfWindows, dropout: torch.Generator
) -> Objective:
    """Return the objective of a training on recorded windows.

    Args:
        network: What is trained.
        scans: The windows.
        loss: Terms of the loss.
        dropout: Where dropout is drawn from.
    """

    def objective(chosen_B: Tensor) -> Terms:
        with drawing_from(dropout):
            outputs = network(scans.gathered(chosen_B))
        return loss(outputs, chosen_B)

    return objective


def labels_only(scans: Scans) -> LossOfWindows:
    """Return the loss of a training without a teacher: cross-entropy of the predicted slots."""

    def loss(outputs: LidarOutputs, chosen_B: Tensor) -> Terms:
        task = slot_cross_entropy(outputs.predicted, scans.label_WT[chosen_B])
        return {"total": task, "task": task}

    return loss


def label_judge(scans: Scans) -> Judge:
    """Return the cross-entropy on labelled windows, by which the released code stops."""

    def judge(network: LidarNetwork) -> float:
        return float(slot_cross_entropy(run_scans(network, scans).predicted, scans.label_WT))

    return judge


def run(network: LidarNetwork, windows: Iterable[Tensor]) -> LidarOutputs:
    """Return what a network says in evaluation mode, without gradient; its mode is restored.

    Args:
        network: Who is asked.
        windows: Ranges [10 m] in parts, each [B, 8, 216].
    """
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            parts = [network(part) for part in windows]
    finally:
        network.train(was_training)
    return LidarOutputs(*(torch.cat(part) for part in zip(*parts, strict=True)))


def run_scans(network: LidarNetwork, scans: Scans) -> LidarOutputs:
    """Return what a network says of recorded windows, see `run`."""
    return run(network, (scans.gathered(part) for part in batches(len(scans))))


def score(network: LidarNetwork, scans: Scans) -> dict[str, float]:
    """Return every score of `BeamScores.values` on some windows [%]."""
    found = beam_scores(run_scans(network, scans).predicted, scans.label_WT).values()
    return {name: 100.0 * value for name, value in found.items()}
