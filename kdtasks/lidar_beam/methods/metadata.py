"""Metadata: statistics of windows and of a teacher's outputs, sent instead of the windows.

Each group of statistics is sealed on its own: safetensors, behind the SHA-256 of what follows. So
the groups that are not wanted need not travel, and one that was changed on its way is not used.

Zakeri et al., "Data-Free Knowledge Distillation for LiDAR-Aided Beam Tracking in MmWave Systems"
(2025), call the mean and variance of the teacher's last hidden state its metadata: group ``final``.
The other groups are ours. Steps of the teacher are numbered 0 to 10; 7 is the newest scan.

Shape suffixes in this file: B = windows, T = scans of a window, R = rays, S = steps, X and Y =
embedding or hidden units, C = beams.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from kdtasks.contract.errors import DataError
from kdtasks.contract.gaussian_mechanism import Mechanism
from kdtasks.contract.task import Arrays
from kdtasks.learning.device import to_array, to_device, to_host
from kdtasks.learning.tensors import as_tensor
from kdtasks.lidar_beam.models.network import LidarOutputs
from kdtasks.sensing.beams.format import NUM_SLOTS

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


FEWEST_WINDOWS = 100
"""Statistics of fewer windows would reveal too much of each of them."""

PREFIX = "metadata."
"""Of the names under which sealed groups lie among the outputs of a teacher."""

DIGEST_BYTES = 32

LEAST_SCALE = 1e-8
"""Floor of what differences are measured by."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Statistics of a teacher's training windows.

    Attributes:
        groups: Statistics by group.
    """

    groups: dict[Group, Statistics]

    def distances(self, observed: Observed) -> dict[Group, Tensor]:
        r"""Return for each group the distance of other windows from it: scalars.

        .. math:: \mathrm{mean}_s \, \frac{1}{\sigma_s} \, \mathrm{mean}_i
                  \left( m_{si}(\text{windows}) - m_{si} \right)^2

        over the statistics s of the group. The scale of a mean is the variance of its entries,
        that of others the mean of their squares; of the published group ``final`` it is 1, and
        its two terms are added, not averaged.

        Args:
            observed: What the teacher makes of the other windows.
        """
        ours = describe(observed, tuple(self.groups))
        found: dict[Group, Tensor] = {}
        for group, known in self.groups.items():
            misses = [
                (ours[group][name] - known[name]).square().mean() / _scale(group, name, known[name])
                for name in known
            ]
            total = torch.stack(misses)
            found[group] = total.sum() if group == "final" else total.mean()
        return found


def _scale(group: Group, name: str, known: Tensor) -> Tensor:
    if group == "final":
        return torch.ones(())
    scale = known.var() if name.endswith(".mean") else known.square().mean()
    return scale.clamp_min(LEAST_SCALE)


def summarised(observed: Observed) -> Metadata:
    """Return the metadata of windows: all groups, none with a memory of its own windows.

    Raises:
        DataError: If there are fewer than `FEWEST_WINDOWS`.
    """
    if len(observed.scans) < FEWEST_WINDOWS:
        raise DataError(
            f"{len(observed.scans)} training windows: metadata of fewer than {FEWEST_WINDOWS} "
            "would reveal too much of each; take more passages"
        )
    with torch.no_grad():
        described = describe(observed, GROUPS)
    return Metadata(
        {g: {name: value.clone() for name, value in s.items()} for g, s in described.items()}
    )


def noisy_final(hidden_BX: Tensor, mechanism: Mechanism, rng: np.random.Generator) -> Metadata:
    """Return group ``final`` with noise; neighbours are windows of which one is exchanged.

    The variance is computed from what is sent, and is not negative.

    Args:
        hidden_BX: The teacher's last states.
        mechanism: The noise.
        rng: Where it is drawn from.
    """
    count = len(hidden_BX)
    mean, square = mechanism.noisy_moments(to_array(hidden_BX), rng, crosswise=False)
    variance = (square - np.square(mean)).clip(min=0.0) * count / (count - 1)
    sent = {"hidden.10.mean": mean, "hidden.10.variance": variance}
    found = {name: as_tensor(value.astype(np.float32)) for name, value in sent.items()}
    return Metadata({"final": found})


def sealed(metadata: Metadata) -> dict[str, NDArray[np.uint8]]:
    """Return each group as the bytes that travel, under the name that it has as an output."""
    found = {}
    for group, statistics in metadata.groups.items():
        content = save({name: to_host(value).contiguous() for name, value in statistics.items()})
        payload = hashlib.sha256(content).digest() + content
        found[PREFIX + group] = np.frombuffer(payload, np.uint8).copy()
    return found


def opened(outputs: Arrays, groups: Sequence[Group]) -> Metadata:
    """Return some groups of sealed metadata.

    Raises:
        DataError: If a group is missing, or is not what was sealed.
    """
    return Metadata({group: _opened(outputs, group) for group in groups})


def _opened(outputs: Arrays, group: Group) -> Statistics:
    if PREFIX + group not in outputs:
        raise DataError(f"the teacher brings no metadata {group!r}; train it again")
    payload = outputs[PREFIX + group].tobytes()
    digest, content = payload[:DIGEST_BYTES], payload[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise DataError(f"metadata {group!r} is not what was sealed: its SHA-256 differs")
    try:
        return {name: to_device(value) for name, value in load(content).items()}
    except SafetensorError as error:
        raise DataError(f"metadata {group!r} cannot be read: {error}") from error


def sealed_bytes(outputs: Arrays, groups: Sequence[Group]) -> int:
    """Return how many bytes some sealed groups have, digests included."""
    return sum(outputs[PREFIX + group].nbytes for group in groups)
