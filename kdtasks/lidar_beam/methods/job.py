"""Objectives of LiDAR beam tracking on recorded windows, and what scores its networks.

Shape suffixes in this file: W = windows of a split, B = windows of a batch, T = predicted slots,
S = steps, C = beams.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from kdtasks.learning.distillation import Goal, Outputs, Term, response
from kdtasks.learning.losses import slot_cross_entropy
from kdtasks.learning.random import drawing_from
from kdtasks.learning.training import Objective, Schedule, Terms, batches, evaluating
from kdtasks.lidar_beam.methods.batches import Scans
from kdtasks.lidar_beam.models.network import LidarNetwork, LidarOutputs
from kdtasks.sensing.beams.format import NUM_SLOTS
from kdtasks.sensing.beams.metrics import scores_of

schedule = partial(Schedule, clip_norm=1.0)
"""Gradients are cut to this norm, as in the released code."""

Judge = Callable[[LidarNetwork], float]
"""A loss by which an epoch is chosen; lower is better."""


def on_scans(
    network: LidarNetwork, scans: Scans, goal: Goal, dropout: torch.Generator
) -> Objective:
    """Return the objective of a training on recorded windows.

    Args:
        network: What is trained.
        scans: The windows.
        goal: What it is trained for.
        dropout: Where dropout is drawn from.
    """

    def objective(chosen_B: Tensor) -> Terms:
        with drawing_from(dropout):
            found = network(scans.gathered(chosen_B))
        return goal.terms(outputs_of(found), chosen_B)

    return objective


def outputs_of(found: LidarOutputs) -> Outputs:
    """Return logits [B, 4, C] and states of the recurrent layer [B, 4, H] of predicted slots."""
    return Outputs(outputs=found.predicted, features=found.hidden[:, -NUM_SLOTS:])


def task_of(scans: Scans) -> Term:
    """Return the loss towards labels: cross-entropy of the predicted slots."""
    return response(slot_cross_entropy, scans.label_WT)


def label_judge(scans: Scans) -> Judge:
    """Return the cross-entropy on labelled windows, by which the released code stops."""

    def judge(network: LidarNetwork) -> float:
        return float(slot_cross_entropy(run_scans(network, scans).predicted, scans.label_WT))

    return judge


def run(network: LidarNetwork, windows: Iterable[Tensor]) -> LidarOutputs:
    """Return outputs in evaluation mode, without gradient; restores the mode.

    Args:
        network: The network.
        windows: Ranges [10 m] in parts, each [B, 8, 216].
    """
    with evaluating(network):
        parts = [network(part) for part in windows]
    return LidarOutputs(*(torch.cat(part) for part in zip(*parts, strict=True)))


def run_scans(network: LidarNetwork, scans: Scans) -> LidarOutputs:
    """Return outputs of recorded windows, see `run`."""
    return run(network, (scans.gathered(part) for part in batches(len(scans))))


def score(network: LidarNetwork, scans: Scans) -> dict[str, float]:
    """Return every score of `BeamScores.values` on some windows [%]."""
    return scores_of(run_scans(network, scans).predicted, scans.label_WT)
