"""A beam-tracking student as a node runs it: windows of frames in, logits of beams out."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from kdtasks.beam_tracking.methods.batches import Windows, windows_of
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.beam_tracking.students import restored
from kdtasks.beam_tracking.two_students import Switch, networks_of, students_of, switch_scores
from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.task import Arrays
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import batches
from kdtasks.sensing.beams.format import CONDITIONS, NUM_STEPS, Sensor
from kdtasks.sensing.beams.metrics import scores_of
from kdtasks.sensing.beams.window_tensors import PredictedLogits, conditions_of

STUDENT = "student"
PAIR = ("first", "second")
"""Networks of a node with two students."""

TOGETHER = 64
"""Windows of a pass; whole windows repeat the frames that they share."""

INPUTS = {
    "image": "motion masks of the camera",
    "radar": "range-angle and Doppler-angle maps of the radar",
    "gps": "positions",
    "power": "powers of the beams, linear",
}


def deployable(settings: BeamSettings, weights: Arrays) -> Deployable:
    """Return the network of a trained student, or those of the two students on a node."""
    if settings.second_model:
        return _pair(settings, weights)
    network = restored(settings, weights, teacher=False)
    part = _part(settings, network, "On the node.")
    return Deployable(parts={STUDENT: part}, score=partial(score, network.sensors))


def _pair(settings: BeamSettings, weights: Arrays) -> Deployable:
    students, switch = students_of(settings), Switch.of(weights)
    networks = networks_of(students, weights)
    parts = {
        name: _part(own, network, f"On the node; {_when(switch, number)}.")
        for number, (name, own, network) in enumerate(zip(PAIR, students, networks, strict=True))
    }
    sensors = [network.sensors for network in networks]
    return Deployable(parts=parts, score=partial(_pair_scores, switch, sensors), one_runs=True)


def _when(switch: Switch, number: int) -> str:
    """Return the conditions in which a student of two runs."""
    own = [c for c, runs in zip(CONDITIONS, switch.by_condition, strict=True) if runs == number]
    times = [f"in conditions {', '.join(own)}"] if own else []
    times += ["where none is known"] if switch.single == number else []
    return "it runs " + (" and ".join(times) or "never")


def _part(settings: BeamSettings, network: BeamNetwork, where: str) -> Part:
    shapes = settings.student_model.window_shapes(image_size=settings.image_size)
    inputs = {s: torch.zeros(2, *shape) for s, shape in zip(network.sensors, shapes, strict=True)}
    named = "; ".join(f"{INPUTS[s]} {s} {list(inputs[s].shape[1:])}" for s in network.sensors)
    return Part(
        network=PredictedLogits(network),
        inputs={str(name): example for name, example in inputs.items()},
        output="logits",
        about=f"{where} Takes windows of {NUM_STEPS} positions, of which those of future "
        f"slots are zero: {named}. Gives logits [batch, 4, 64] of 64 beams now and in the next "
        "three frames.",
    )


def score(sensors: Sequence[Sensor], parts: Mapping[str, Call], split: Arrays) -> dict[str, float]:
    """Return every score of whatever stands for the student."""
    windows = windows_of(split, sensors)
    return scores_of(_logits(parts[STUDENT], windows), windows.label_WT, windows.condition_W)


def _pair_scores(
    switch: Switch,
    sensors: Sequence[Sequence[Sensor]],
    parts: Mapping[str, Call],
    split: Arrays,
) -> dict[str, float]:
    first, second = (
        _logits(parts[name], windows_of(split, own))
        for name, own in zip(PAIR, sensors, strict=True)
    )
    label_WT, condition_W = as_tensor(split["label"]), conditions_of(split)
    return switch_scores(switch, (first, second), label_WT, condition_W)


def _logits(call: Call, windows: Windows) -> Tensor:
    """Return the logits of all windows, [W, T, C]."""
    return torch.cat([call(*_whole(windows, part)) for part in batches(len(windows), TOGETHER)])


def _whole(windows: Windows, part: slice) -> list[Tensor]:
    """Return some windows with all their frames, a tensor per sensor, [B, T, ...]."""
    distinct, index = windows.gathered(part)
    return [distinct[sensor][index[sensor]] for sensor in distinct]
