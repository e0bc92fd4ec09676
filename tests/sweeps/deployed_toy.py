"""The toy task with students that can be exported: networks that say what the formula says."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from toy_task import ToyTask

from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays

INPUTS = 3
TWO_PARTS, TWO_STUDENTS = 2, 3
"""Width of a student of two networks, and of one that cannot be exported."""


def linear(inputs: int, outputs: int, weight: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.constant_(layer.weight, weight)
    return layer.eval()


class DeployedToy(ToyTask):
    name = "deployed-toy"

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        if params["width"] == TWO_STUDENTS:
            raise ConfigError("the trial has two students on a node")
        error = float(weights["error"][0])
        networks = {"student": linear(INPUTS, 1, error / INPUTS)}
        if params["width"] == TWO_PARTS:
            networks = {"first": linear(INPUTS, 1, 1 / INPUTS), "second": linear(1, 1, error)}
        parts = {
            name: Part(
                network=network,
                inputs={"sample": torch.zeros(2, network.in_features)},
                output="error",
                about="made up",
            )
            for name, network in networks.items()
        }
        return Deployable(parts=parts, score=_score)


def _score(calls: Mapping[str, Call], split: Arrays) -> dict[str, float]:
    passed = torch.ones(1, INPUTS)
    for call in calls.values():
        passed = call(passed)
    return {"nmse_db": float(passed.detach().item() + np.mean(split["noise"]))}
