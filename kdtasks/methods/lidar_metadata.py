"""What a server tells an edge about its data instead of the data: statistics, and nothing else.

Each group of statistics is sealed on its own: safetensors, behind the SHA-256 of what follows. So
the groups that are not wanted need not travel, and one that was changed on its way is not used.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from kdtasks.errors import DataError
from kdtasks.methods.lidar_statistics import GROUPS, Group, Observed, Statistics, describe
from kdtasks.task import Arrays

FEWEST_WINDOWS = 100
"""Statistics of fewer windows would say too much of each of them."""

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
        r"""Return for each group how far other windows are from what it says: scalars.

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
            "would tell too much of each; take more passages"
        )
    with torch.no_grad():
        described = describe(observed, GROUPS)
    return Metadata(
        {g: {name: value.clone() for name, value in s.items()} for g, s in described.items()}
    )


def sealed(metadata: Metadata) -> dict[str, NDArray[np.uint8]]:
    """Return each group as the bytes that travel, under the name that it has as an output."""
    found = {}
    for group, statistics in metadata.groups.items():
        content = save({name: value.contiguous() for name, value in statistics.items()})
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
        return load(content)
    except SafetensorError as error:
        raise DataError(f"metadata {group!r} cannot be read: {error}") from error


def sealed_bytes(outputs: Arrays, groups: Sequence[Group]) -> int:
    """Return how many bytes some sealed groups have, digests included."""
    return sum(outputs[PREFIX + group].nbytes for group in groups)
