"""Distillation methods: the loss of each, and what a student is trained for by it.

Response distillation matches the teacher's softened logits, slot by slot; feature distillation its
output features; relational distillation the pairwise relations among the features of windows.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from kdtasks.beam_tracking.methods.batches import Windows
from kdtasks.beam_tracking.methods.job import (
    DistilLoss,
    Goal,
    TaskLoss,
    TeacherOutputs,
    blended,
    labels_only,
)
from kdtasks.beam_tracking.models.network import BeamNetwork, BeamOutputs
from kdtasks.learning.losses import draw_pairs, feature_mse, leaning_weights, relation_loss, slot_kl
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.sensing.beams.format import NUM_SLOTS


class KdSettings(Protocol):
    """Parameters that methods read, see `kdtasks.beam_tracking.settings`."""

    @property
    def seed(self) -> int: ...
    @property
    def alpha(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def slot_lean(self) -> float: ...
    @property
    def relation_distance(self) -> float: ...
    @property
    def relation_angle(self) -> float: ...
    @property
    def relation_partners(self) -> int: ...


def response_loss(
    teacher_outputs: TeacherOutputs, *, temperature: float, slot_lean: float
) -> DistilLoss:
    """Return the loss towards a teacher's logits.

    Args:
        teacher_outputs: What the teacher says of all training windows.
        temperature: Softening temperature.
        slot_lean: How much more far slots weigh, see `leaning_weights`.
    """
    weights = leaning_weights(NUM_SLOTS, slot_lean)

    def loss(outputs: BeamOutputs, chosen_B: Tensor) -> Tensor:
        target_BTC = teacher_outputs.logits_WTC[chosen_B]
        return slot_kl(outputs.logits, target_BTC, temperature=temperature, slot_weights=weights)

    return loss


def projection(num_student: int, num_teacher: int, seed: int) -> nn.Linear | None:
    """Return a seeded map from the student's features to the teacher's; None if sizes are equal."""
    if num_student == num_teacher:
        return None
    return initialised(seed, "projection", lambda: nn.Linear(num_student, num_teacher))


def feature_loss(teacher_outputs: TeacherOutputs, mapping: nn.Module | None) -> DistilLoss:
    """Return the loss towards a teacher's output features of the predicted slots.

    Args:
        teacher_outputs: What the teacher says of all training windows.
        mapping: See `projection`.
    """

    def loss(outputs: BeamOutputs, chosen_B: Tensor) -> Tensor:
        target_BTH = teacher_outputs.features_WTH[chosen_B]
        return feature_mse(outputs.output_features, target_BTH, projection=mapping)

    return loss


def pair_loss(
    teacher_outputs: TeacherOutputs,
    passage_W: Tensor,
    *,
    weights: tuple[float, float],
    partners: int,
    generator: torch.Generator,
) -> DistilLoss:
    """Return the loss of pairs of windows.

    A window is described by its output features of all predicted slots, in a row.

    Pairs are of different passages: windows of one passage share frames, and are alike to any
    network. The code of Table II draws from all windows.

    Args:
        teacher_outputs: What the teacher says of all training windows.
        passage_W: Passage of each of them.
        weights: Of distances and of angles.
        partners: Of each window.
        generator: Source of the pairs.
    """

    def loss(outputs: BeamOutputs, chosen_B: Tensor) -> Tensor:
        pairs_P2 = draw_pairs(
            len(chosen_B),
            partners=partners,
            generator=generator,
            passage_B=passage_W[chosen_B],
        )
        return relation_loss(
            outputs.output_features.flatten(1),
            teacher_outputs.features_WTH[chosen_B].flatten(1),
            pairs_P2,
            distance_weight=weights[0],
            angle_weight=weights[1],
        )

    return loss


def _response(
    settings: KdSettings,
    _network: BeamNetwork,
    _train: Windows,
    teacher_outputs: TeacherOutputs,
    labels: TaskLoss,
) -> Goal:
    distil = response_loss(
        teacher_outputs, temperature=settings.temperature, slot_lean=settings.slot_lean
    )
    return blended(labels, distil, settings.alpha)


def _feature(
    settings: KdSettings,
    network: BeamNetwork,
    _train: Windows,
    teacher_outputs: TeacherOutputs,
    labels: TaskLoss,
) -> Goal:
    mapping = projection(network.num_outputs, teacher_outputs.features_WTH.shape[-1], settings.seed)
    modules = () if mapping is None else (mapping,)
    return blended(labels, feature_loss(teacher_outputs, mapping), settings.alpha, modules)


def _relation(
    settings: KdSettings,
    _network: BeamNetwork,
    train: Windows,
    teacher_outputs: TeacherOutputs,
    labels: TaskLoss,
) -> Goal:
    weights = (settings.relation_distance, settings.relation_angle)
    if weights == (0.0, 0.0):
        return labels_only(labels)  # nothing is taken from the teacher
    distil = pair_loss(
        teacher_outputs,
        train.passage_W,
        weights=weights,
        partners=settings.relation_partners,
        generator=torch_generator(settings.seed, "pairs"),
    )
    return blended(labels, distil, settings.alpha)


MakeGoal = Callable[[KdSettings, BeamNetwork, Windows, TeacherOutputs, TaskLoss], Goal]

GOALS: dict[str, MakeGoal] = {
    "response": _response,
    "feature": _feature,
    "relation": _relation,
    "self": _response,
}
"""What a method trains its student for; any other is a loss of the user's own."""
