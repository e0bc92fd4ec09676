"""Response distillation: the student learns the teacher's softened answers, slot by slot.

Feature distillation: the student's output features learn to be the teacher's.

Relational distillation: windows shall lie to each other as they do for the teacher.
"""

import torch
from torch import Tensor, nn

from kdtasks.beam_tracking.methods.job import DistilLoss, TeacherOutputs
from kdtasks.beam_tracking.models.network import BeamOutputs
from kdtasks.learning.losses import draw_pairs, feature_mse, leaning_weights, relation_loss, slot_kl
from kdtasks.learning.random import initialised
from kdtasks.sensing.beams.format import NUM_SLOTS


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
