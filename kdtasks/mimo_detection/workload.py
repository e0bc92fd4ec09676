"""What a MIMO detector costs the node that runs it, and the node that trains it."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from kdtasks.learning.complexity import Output, count, watch
from kdtasks.mimo_detection.models.family import DetectorNet, Plan, cost_of, input_shapes


@lru_cache(maxsize=1024)
def model_cost(plan: Plan, streams: int) -> dict[str, float]:
    """Return parameters, multiply-accumulates of a channel use and bytes; not to be written to."""
    counted = cost_of(plan, streams)
    return {
        "params": float(counted.params),
        "macs": float(counted.macs),
        "model_bytes": 4.0 * counted.params,
    }


def training_macs(network: DetectorNet, streams: int) -> int:
    """Return the multiply-accumulates that training takes per channel use.

    Three times the forward pass: forward, backward to inputs and to weights. A frozen unit has no
    gradients of weights, and at the bottom, where nothing trained lies below, none of inputs
    either. Penalties on weights are not counted.
    """
    shapes, units = input_shapes(network, streams), list(network.units.values())
    frozen = [unit for unit in units if not any(p.requires_grad for p in unit.parameters())]
    calls: list[tuple[nn.Module, list[torch.Size]]] = []

    def visit(unit: nn.Module, inputs: tuple[Tensor, ...], _output: Output) -> None:
        calls.append((unit, [one.shape[1:] for one in inputs]))

    watch(network, shapes, frozen, visit)
    spared = sum(count(unit, *sizes).macs for unit, sizes in calls)
    return 3 * count(network, *shapes).macs - (2 if units[0] in frozen else 1) * spared
