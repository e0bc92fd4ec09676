"""Feature distillation: the student's output features learn to be the teacher's."""

from torch import Tensor, nn

from kdtasks.losses import feature_mse
from kdtasks.methods.beam_job import DistilLoss, Said
from kdtasks.models.beam_network import BeamOutputs
from kdtasks.seeding import initialised


def projection(num_student: int, num_teacher: int, seed: int) -> nn.Linear | None:
    """Return a seeded map from the student's features to the teacher's; None if sizes are equal."""
    if num_student == num_teacher:
        return None
    return initialised(seed, "projection", lambda: nn.Linear(num_student, num_teacher))


def feature_loss(said: Said, mapping: nn.Module | None) -> DistilLoss:
    """Return the loss towards a teacher's output features of the predicted slots.

    Args:
        said: What the teacher says of all training windows.
        mapping: See `projection`.
    """

    def loss(outputs: BeamOutputs, chosen_B: Tensor) -> Tensor:
        target_BTH = said.features_WTH[chosen_B]
        return feature_mse(outputs.output_features, target_BTH, projection=mapping)

    return loss
