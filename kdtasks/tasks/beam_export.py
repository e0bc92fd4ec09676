"""A beam-tracking student as a node runs it: windows of frames in, logits of beams out."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from kdtasks.beam_format import NUM_STEPS
from kdtasks.deployable import Call, Deployable, Part
from kdtasks.errors import ConfigError
from kdtasks.methods.beam_batches import Windows, windows_of
from kdtasks.methods.beam_job import scores_of
from kdtasks.models.beam_network import BeamNetwork, Sensor
from kdtasks.task import Arrays
from kdtasks.tasks.beam_settings import BeamSettings
from kdtasks.tasks.beam_students import restored
from kdtasks.training import batches

STUDENT = "student"
TOGETHER = 64
"""Windows of a pass; whole windows repeat the frames that they share."""

INPUTS = {
    "image": "motion masks of the camera",
    "radar": "range-angle and Doppler-angle maps of the radar",
    "gps": "positions",
}


class PredictedLogits(nn.Module):
    """A beam network that gives the logits of the predicted slots alone.

    Args:
        network: The network.
    """

    def __init__(self, network: BeamNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *windows_BT: Tensor) -> Tensor:
        """Return logits of the current and three future slots, [B, 4, C]."""
        logits_BTC: Tensor = self.network(*windows_BT).predicted().logits
        return logits_BTC


def deployable(settings: BeamSettings, weights: Arrays) -> Deployable:
    """Return the network of a trained student.

    Raises:
        ConfigError: If it is one of two on a node.
    """
    if settings.second_model:
        raise ConfigError("the trial has two students on a node; export one without second_model")
    network = restored(settings, weights, teacher=False)
    shapes = settings.student_model.window_shapes(image_size=settings.image_size)
    inputs = {s: torch.zeros(2, *shape) for s, shape in zip(network.sensors, shapes, strict=True)}
    named = "; ".join(f"{INPUTS[s]} {s} {list(inputs[s].shape[1:])}" for s in network.sensors)
    part = Part(
        network=PredictedLogits(network),
        inputs={str(name): example for name, example in inputs.items()},
        output="logits",
        about=f"On the node. Takes windows of {NUM_STEPS} positions, of which those of future "
        f"slots are zero: {named}. Gives logits [batch, 4, 64] of 64 beams now and in the next "
        "three frames.",
    )
    return Deployable(parts={STUDENT: part}, score=partial(score, network.sensors))


def score(sensors: Sequence[Sensor], parts: Mapping[str, Call], split: Arrays) -> dict[str, float]:
    """Return every score of whatever stands for the student."""
    windows = windows_of(split, sensors)
    logits = [parts[STUDENT](*_whole(windows, part)) for part in batches(len(windows), TOGETHER)]
    return scores_of(torch.cat(logits), windows.label_WT, windows.condition_W)


def _whole(windows: Windows, part: slice) -> list[Tensor]:
    """Return some windows with all their frames, a tensor per sensor, [B, T, ...]."""
    distinct, index = windows.gathered(torch.arange(part.start, part.stop))
    return [distinct[sensor][index[sensor]] for sensor in distinct]
