"""Relational distillation: windows shall lie to each other as they do for the teacher."""

import torch
from torch import Tensor

from kdtasks.methods.beam_job import DistilLoss, Said
from kdtasks.models.beam_network import BeamOutputs
from kdtasks.relation import draw_pairs, relation_loss


def pair_loss(
    said: Said,
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
        said: What the teacher says of all training windows.
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
            said.features_WTH[chosen_B].flatten(1),
            pairs_P2,
            distance_weight=weights[0],
            angle_weight=weights[1],
        )

    return loss
