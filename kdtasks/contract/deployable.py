"""A trained student as the networks that nodes run: what is exported, and what judges an export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Call: TypeAlias = Callable[..., Tensor]
"""Runs a network on tensors, one per input, all with a batch in front."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One network of a trained student.

    Attributes:
        network: In evaluation mode; takes the inputs in their order and returns one tensor.
        inputs: Two made-up samples of every input, by name.
        output: Name of what it returns.
        about: What goes in and comes out, with shapes, units and scaling, for users of the file.
    """

    network: nn.Module
    inputs: Mapping[str, Tensor]
    output: str
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployable:
    """A trained student as its nodes run it.

    Attributes:
        parts: Its networks, by name.
        score: Returns the quality metrics of one split, without prefix, of whatever stands for the
            parts: with their own networks those of `kdtasks.contract.task.KDTask.evaluate`.
        chains: The networks that one sample passes through, at each of several nodes; a student of
            one node has none, and a sample passes through all its networks.
        one_runs: A node stores all of its networks, and a sample passes through one of them.
    """

    parts: Mapping[str, Part]
    score: Callable[[Mapping[str, Call], Mapping[str, NDArray[Any]]], dict[str, float]]
    chains: tuple[tuple[str, ...], ...] = ()
    one_runs: bool = False

    def own_score(self, split: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Return what its own networks score on a split, see `score`."""
        with torch.inference_mode():
            return self.score({name: part.network for name, part in self.parts.items()}, split)


class CallableModule(nn.Module):
    """Stands where a network is wanted, and calls something else.

    Args:
        call: What is called.
    """

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the call returns."""
        return self._call(*inputs)
