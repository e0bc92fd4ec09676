r"""Channel estimation: from least-squares estimates to the channel, cleaned by a network.

Orthogonal pilots of unit power give a least-squares estimate :math:`y = h + n` per antenna and
subcarrier, with white noise of variance ``1 / snr``: entries of a user's channel have a mean power
of one. Angle and delay are unitary transforms of antennas and subcarriers, so the noise stays white
there.
References: the estimate itself, and the linear MMSE estimate
:math:`\hat h = C (C + \sigma^2 I)^{-1} y` with the covariance of the training channels (Kay,
"Estimation Theory", 1993, chapter 12; channels have zero mean).
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
from kdtasks.learning.random import numpy_generator
from kdtasks.site_tasks.channels import DATA, SiteTask, Users, planes, reference_costs


def nmse_db(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error over power of each channel, its mean over users, in decibel."""
    error = (outputs - targets).square().flatten(1).sum(-1)
    return 10.0 * torch.log10((error / targets.square().flatten(1).sum(-1)).mean())


class EstimatorNet(nn.Module):
    """What convolutions with rectifiers find in an estimate is taken off it.

    Args:
        width: Channels of the inner convolutions.
        depth: Inner convolutions.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        inner = [
            layer
            for _ in range(depth)
            for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        ]
        first = nn.Conv2d(2, width, 3, padding=1)
        self.body = nn.Sequential(first, nn.ReLU(), *inner)
        self.head = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, estimate_B2AC: Tensor) -> Tensor:
        """Return channels, shape [B, 2, A, C]."""
        clean: Tensor = estimate_B2AC - self.head(self.body(estimate_B2AC))
        return clean


class ChannelEstimation(SiteTask):
    """The channel, from its least-squares estimate."""

    name = "channel-estimation"
    features = ("body", "body")
    parameters: ClassVar[dict[str, Any]] = {
        **DATA,
        "snr_db": param(5.0, low=-20, high=40, decides="data", unit="dB", help="of the estimate"),
        "width": param(6, low=1, high=64, unit="channels", help="of the student"),
        "depth": param(1, low=0, high=8, unit="layers", help="inner ones of the student"),
        "teacher_width": param(24, low=1, high=64, decides="teacher", help="of the teacher"),
    }
    metrics: ClassVar[dict[str, Any]] = {
        "nmse_db": metric(nmse_db, unit="dB", direction="minimize"),
    }

    def pair(self, p: Any, name: str, users: Users) -> tuple[NDArray[Any], NDArray[Any]]:
        clean = planes(users.channels)
        deviation = 10.0 ** (-p.snr_db / 20.0) / np.sqrt(2.0)
        noise = numpy_generator(p.data_seed, f"noise of {name}").normal(size=clean.shape)
        return (clean + deviation * noise).astype(np.float32), clean

    def teacher(self, p: Any) -> nn.Module:
        return EstimatorNet(p.teacher_width, 3)

    def student(self, p: Any) -> nn.Module:
        return EstimatorNet(p.width, p.depth)

    def worst_values(self, params: Params) -> dict[str, float]:
        """Return the error of the estimate as it is: its noise."""
        return {"val_nmse_db": -float(self.complete(params)["snr_db"])}

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return the estimate as it is, and the linear MMSE estimate."""
        variance = 10.0 ** (-float(self.complete(params)["snr_db"]) / 10.0)
        matrix = lmmse_matrix(data.train[TARGET], variance)
        splits = {"val": data.val, "test": data.test}
        found = {"LS": {name: torch.from_numpy(split["x"]) for name, split in splits.items()}}
        found["LMMSE"] = {name: _applied(matrix, split) for name, split in splits.items()}
        costs = {"LS": reference_costs(0, 0), "LMMSE": reference_costs(matrix.size, matrix.size)}
        return [
            Baseline(name=name, params={}, metrics={**costs[name], **scores})
            for name, outputs in found.items()
            for scores in [
                {
                    f"{split}_{one}": value
                    for split, output in outputs.items()
                    for one, value in scores_of(
                        self.scores, output, targets_of(splits[split])
                    ).items()
                }
            ]
        ]


def lmmse_matrix(clean_N2AC: NDArray[Any], variance: float) -> NDArray[np.complex128]:
    """Return ``C (C + variance I)^-1`` of complex channels in a row, shape [A C, A C]."""
    channels = (clean_N2AC[:, 0] + 1j * clean_N2AC[:, 1]).reshape(len(clean_N2AC), -1)
    covariance = channels.T @ channels.conj() / len(channels)
    loaded = covariance + variance * np.eye(len(covariance))
    return np.asarray(np.linalg.solve(loaded.T, covariance.T).T, np.complex128)


def _applied(matrix: NDArray[np.complex128], split: Arrays) -> Tensor:
    estimate = split["x"][:, 0] + 1j * split["x"][:, 1]
    clean = (estimate.reshape(len(estimate), -1) @ matrix.T).reshape(estimate.shape)
    return torch.from_numpy(planes(clean))
