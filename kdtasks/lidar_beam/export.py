"""A LiDAR beam-tracking student as a node runs it: windows of scans in, logits of beams out."""

from collections.abc import Mapping

import torch

from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.task import Arrays
from kdtasks.learning.training import batches
from kdtasks.lidar_beam.methods.batches import RANGE_UNIT_M, scans_of
from kdtasks.lidar_beam.models.family import WINDOW_SHAPE
from kdtasks.lidar_beam.settings import LidarSettings
from kdtasks.lidar_beam.students import restored
from kdtasks.sensing.beams.metrics import scores_of
from kdtasks.sensing.beams.window_tensors import PredictedLogits

STUDENT = "student"


def deployable(settings: LidarSettings, weights: Arrays) -> Deployable:
    """Return the network of a trained student."""
    network = restored(settings, weights, teacher=False).eval()
    size = ", ".join(str(length) for length in WINDOW_SHAPE)
    part = Part(
        network=PredictedLogits(network),
        inputs={"scans": torch.zeros(2, *WINDOW_SHAPE)},
        output="logits",
        about=f"On the node. Takes windows of scans [batch, {size}], ranges in units of "
        f"{RANGE_UNIT_M:g} m, 0 where nothing returns; gives logits [batch, 4, 64] of 64 beams "
        "now and in the next three frames.",
    )
    return Deployable(parts={STUDENT: part}, score=score)


def score(parts: Mapping[str, Call], split: Arrays) -> dict[str, float]:
    """Return every score of whatever stands for the student [%]."""
    scans = scans_of(split)
    logits = [parts[STUDENT](scans.gathered(part)) for part in batches(len(scans))]
    return scores_of(torch.cat(logits), scans.label_WT)
