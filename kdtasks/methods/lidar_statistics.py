r"""Statistics of windows and of what a teacher makes of them, in groups that can be left out.

Zakeri et al., "Data-Free Knowledge Distillation for LiDAR-Aided Beam Tracking in MmWave Systems"
(2025), call the mean and variance of the teacher's last hidden state its metadata: group ``final``.
The other groups are ours. Steps of the teacher are numbered 0 to 10; 7 is the newest scan.

Shape suffixes in this file: B = windows, T = scans of a window, R = rays, S = steps, X and Y =
embedding or hidden units, C = beams.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kdtasks.beam_format import NUM_SLOTS
from kdtasks.models.lidar_network import LidarOutputs

Group = Literal["final", "moments", "softmax", "covariance", "inputs"]

GROUPS: tuple[Group, ...] = ("final", "moments", "softmax", "covariance", "inputs")
"""Groups of statistics, in one order."""

Statistics = Mapping[str, Tensor]
"""The statistics of a group by name; those that end in ``.mean`` are means of the same unit."""

HIT_THRESHOLD, HIT_SOFTNESS = 0.1, 0.1
"""Range from which a ray counts as hit where that has a gradient, and how softly [10 m]."""

RUN_RAYS = 8
"""Distance of rays that both meet one vehicle often."""


class Observed(NamedTuple):
    """Windows and a teacher's outputs at every step.

    Attributes:
        scans: Ranges [10 m], [B, T, R].
        outputs: What the teacher makes of them in evaluation mode.
    """

    scans: Tensor
    outputs: LidarOutputs


def describe(observed: Observed, groups: Sequence[Group]) -> dict[Group, Statistics]:
    """Return some groups of statistics; they have a gradient with respect to the windows.

    Variances and covariances are unbiased.

    Args:
        observed: At least two windows.
        groups: Which.
    """
    return {group: _DESCRIBE[group](observed) for group in groups}


def hits(scan_BTR: Tensor) -> Tensor:
    """Return 1 where a ray has a range, else 0; the gradient is that of a logistic function."""
    soft = torch.sigmoid((scan_BTR - HIT_THRESHOLD) / HIT_SOFTNESS)
    return (scan_BTR > 0).to(scan_BTR.dtype) + (soft - soft.detach())


def covariance(one_BX: Tensor, other_BY: Tensor) -> Tensor:
    """Return the unbiased covariance of two sets of numbers over windows, [X, Y]."""
    centred_BX, centred_BY = one_BX - one_BX.mean(0), other_BY - other_BY.mean(0)
    return centred_BX.T @ centred_BY / (len(one_BX) - 1)


def _moments(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    means = {f"{name}.mean": values.mean(0) for name, values in named.items()}
    return means | {f"{name}.variance": values.var(0) for name, values in named.items()}


def _final(observed: Observed) -> Statistics:
    return _moments({"hidden.10": observed.outputs.hidden[:, 10]})


def _steps(observed: Observed) -> Statistics:
    embedding, hidden = observed.outputs.embedding, observed.outputs.hidden
    return _moments(
        {f"embedding.{step}": embedding[:, step] for step in (0, 3, 7)}
        | {f"hidden.{step}": hidden[:, step] for step in (0, 3, 7, 8, 9, 10)}
    )


def _softmax(observed: Observed) -> Statistics:
    answers = torch.softmax(observed.outputs.predicted, dim=-1).mean(0)
    return {f"answers.{slot}.mean": answers[slot] for slot in range(NUM_SLOTS)}


def _covariance(observed: Observed) -> Statistics:
    embedding, hidden = observed.outputs.embedding, observed.outputs.hidden
    pairs = {
        "hidden": (hidden, ((7, 7), (10, 10), (7, 10), (3, 7))),
        "embedding": (embedding, ((0, 0), (7, 7), (6, 7), (0, 7))),
    }
    return {
        f"{name}.{one}.{other}": covariance(values[:, one], values[:, other])
        for name, (values, steps) in pairs.items()
        for one, other in steps
    }


def _inputs(observed: Observed) -> Statistics:
    scans = observed.scans
    hit_BTR = hits(scans)
    flat = scans.flatten(0, 1)
    shares = {
        "hit": hit_BTR.mean(),
        "neighbours": (hit_BTR[..., 1:] * hit_BTR[..., :-1]).mean(),
        "run": (hit_BTR[..., RUN_RAYS:] * hit_BTR[..., :-RUN_RAYS]).mean(),
        "stays": (hit_BTR[:, 1:] * hit_BTR[:, :-1]).mean(),
        "remains": (hit_BTR[:, -1] * hit_BTR[:, 0]).mean(),
        "spread": hit_BTR.mean(-1).flatten().std(),
    }
    rays = {"rays.hit.mean": hit_BTR.mean((0, 1))} | _moments({"rays.range": flat})
    return rays | {f"scan.{name}": share.reshape(1) for name, share in shares.items()}


_DESCRIBE: dict[Group, Callable[[Observed], Statistics]] = {
    "final": _final,
    "moments": _steps,
    "softmax": _softmax,
    "covariance": _covariance,
    "inputs": _inputs,
}
