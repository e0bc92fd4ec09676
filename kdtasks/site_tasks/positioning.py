"""User positioning: where a user is, from the channel that a base station has measured.

The network sees the angular-delay matrix of one user with unit power and says the position, as in
fingerprint positioning by learning (Savic and Larsson, "Fingerprinting-based positioning in
distributed massive MIMO systems", 2015). The reference that needs no training is the position of
the training user whose matrix correlates best.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdtasks.contract.params import Params
from kdtasks.contract.settings import param
from kdtasks.contract.task import Arrays, Baseline, ScenarioData
from kdtasks.distillation.splits import TARGET, metric, scores_of, targets_of
from kdtasks.site_tasks.channels import DATA, SiteTask, Users, planes, radius_m, reference_costs

SPAN_M = 50.0
"""Positions are learnt in units of this [m]; it changes nothing but the scale of the loss."""


def errors_m(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the distances of positions from where users are [m], shape [N]."""
    distance: Tensor = SPAN_M * torch.linalg.vector_norm(outputs - targets, dim=-1)
    return distance


def mean_error_m(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean distance between the position found and the true one."""
    return errors_m(outputs, targets).mean()


def median_error_m(outputs: Tensor, targets: Tensor) -> Tensor:
    """Distance that half of the users are within."""
    return errors_m(outputs, targets).quantile(0.5)


def error_90_m(outputs: Tensor, targets: Tensor) -> Tensor:
    """Distance that 90 % of the users are within."""
    return errors_m(outputs, targets).quantile(0.9)


class PositionNet(nn.Module):
    """Two convolutions with stride 2 over angle and delay, and two dense layers.

    Args:
        width: Channels of the first convolution; the others follow from it.
        antennas: Rows of the matrix.
        subcarriers: Its columns.
    """

    def __init__(self, width: int, antennas: int, subcarriers: int) -> None:
        super().__init__()
        size = 2 * width * -(-antennas // 4) * -(-subcarriers // 4)
        self.body = nn.Sequential(
            nn.Conv2d(2, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(size, 8 * width),
            nn.ReLU(),
        )
        self.head = nn.Linear(8 * width, 2)

    def forward(self, picture_B2AC: Tensor) -> Tensor:
        """Return positions in units of `SPAN_M`, shape [B, 2]."""
        position: Tensor = self.head(self.body(picture_B2AC))
        return position


class UserPositioning(SiteTask):
    """Where a user is, from its channel."""

    name = "user-positioning"
    features = ("body", "body")
    parameters: ClassVar[dict[str, Any]] = {
        **DATA,
        "width": param(4, low=1, high=64, unit="channels", help="of the student"),
        "teacher_width": param(24, low=1, high=64, decides="teacher", help="of the teacher"),
    }
    metrics: ClassVar[dict[str, Any]] = {
        "error_m": metric(mean_error_m, unit="m", direction="minimize"),
        "error_50_m": metric(median_error_m, unit="m", direction="minimize"),
        "error_90_m": metric(error_90_m, unit="m", direction="minimize"),
    }

    def pair(self, p: Any, name: str, users: Users) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: ARG002
        return planes(users.channels), users.positions / SPAN_M

    def teacher(self, p: Any) -> nn.Module:
        return PositionNet(p.teacher_width, p.num_antennas, p.num_subcarriers)

    def student(self, p: Any) -> nn.Module:
        return PositionNet(p.width, p.num_antennas, p.num_subcarriers)

    def worst_values(self, params: Params) -> dict[str, float]:
        """Return the radius of the site: no data are needed, which may be slow to make."""
        worst = radius_m(str(self.complete(params)["scenario"]))
        return {} if worst is None else {f"val_{name}": worst for name in self.scores}

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return the mean position, and that of the nearest training user by correlation."""
        scores = {
            f"{name}_{metric_}": value
            for name, split in (("val", data.val), ("test", data.test))
            for metric_, value in scores_of(
                self.scores, _nearest(data.train, split), targets_of(split)
            ).items()
        }
        known = data.train["x"][:, 0].size  # every entry of every training user
        costs = reference_costs(known, known)
        nearest = Baseline(name="nearest training user", params={}, metrics={**costs, **scores})
        return [*super().baselines(params, data), nearest]


def _nearest(train: Arrays, split: Arrays) -> Tensor:
    """Return the position of the training user whose matrix has the greatest ``|<h, g>|``."""
    known, queried = (one["x"][:, 0] + 1j * one["x"][:, 1] for one in (train, split))
    known, queried = (one.reshape(len(one), -1) for one in (known, queried))
    best = [np.abs(part.conj() @ known.T).argmax(1) for part in np.array_split(queried, 10)]
    return torch.from_numpy(train[TARGET][np.concatenate(best)])
