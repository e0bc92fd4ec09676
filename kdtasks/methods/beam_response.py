"""Response distillation: the student learns the teacher's softened answers, slot by slot."""

from torch import Tensor

from kdtasks.beam_format import NUM_SLOTS
from kdtasks.losses import leaning_weights, slot_kl
from kdtasks.methods.beam_job import DistilLoss, Said
from kdtasks.models.beam_network import BeamOutputs


def response_loss(said: Said, *, temperature: float, slot_lean: float) -> DistilLoss:
    """Return the loss towards a teacher's logits.

    Args:
        said: What the teacher says of all training windows.
        temperature: Softening temperature.
        slot_lean: How much more far slots weigh, see `leaning_weights`.
    """
    weights = leaning_weights(NUM_SLOTS, slot_lean)

    def loss(outputs: BeamOutputs, chosen_B: Tensor) -> Tensor:
        target_BTC = said.logits_WTC[chosen_B]
        return slot_kl(outputs.logits, target_BTC, temperature=temperature, slot_weights=weights)

    return loss
