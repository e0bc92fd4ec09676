"""Learnt MIMO detectors: families by plan, how they are run, and those that are listed.

Shape suffixes in this file: B = channel uses, N = real streams, M = bits per real stream, K =
layers with logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdtasks.learning.complexity import Cost, count
from kdtasks.mimo_detection.models.conv import ConvNet, ConvPlan
from kdtasks.mimo_detection.models.features import (
    EDGE_CHANNELS,
    NODE_CHANNELS,
    DetectorInputs,
    bit_logits,
)
from kdtasks.mimo_detection.models.unrolled import UnrolledNet, UnrolledPlan

Plan = ConvPlan | UnrolledPlan
DetectorNet = ConvNet | UnrolledNet


def build(plan: Plan) -> DetectorNet:
    """Build the network of a plan; weights come from torch's global generator."""
    return ConvNet(plan) if isinstance(plan, ConvPlan) else UnrolledNet(plan)


def conv_plan(width: int, depth: int, hidden: Sequence[int] = (64,), bits: int = 1) -> ConvPlan:
    """Return a network of one width with so many blocks."""
    return ConvPlan(
        widths=(width,) * (depth + 1), head_width=width, hidden=tuple(hidden), bits=bits
    )


def run(network: DetectorNet, inputs: DetectorInputs) -> Tensor:
    """Return logits of "the bit is 1" after each layer that has some, shape [K, B, N, M]."""
    logits_KBNM = network(*(getattr(inputs, name) for name in network.reads))
    return bit_logits(logits_KBNM, inputs.sign_BN)


def input_shapes(network: DetectorNet, streams: int) -> list[tuple[int, ...]]:
    """Return the shapes of what a network takes of one channel use with so many streams."""
    n, bits = 2 * streams, len(network.gain)
    shapes: dict[str, tuple[int, ...]] = {
        "node_BNF": (n, NODE_CHANNELS),
        "edge_BNNE": (n, n, EDGE_CHANNELS),
        "skip_BNM": (n, bits),
        "coupling_BNN": (n, n),
        "matched_BN": (n,),
    }
    return [shapes[name] for name in network.reads]


def cost_of(plan: Plan, streams: int) -> Cost:
    """Count a network for one channel use; the linear algebra before it is not in it."""
    with torch.random.fork_rng(devices=[]):
        network = build(plan)
    return count(network, *input_shapes(network, streams))


LISTED: dict[str, Plan] = {
    "collective": conv_plan(32, 6),
    "individual": conv_plan(32, 4),
    "individual 10.8 %": conv_plan(32, 4, (110, 110)),
    "conv detector": conv_plan(48, 5),
    "unrolled detector": UnrolledPlan(),
    "unrolled detector, one layer": UnrolledPlan(shared=True),
    "unrolled individual": UnrolledPlan(layers=2),
}
"""Networks with measured results; the task's defaults are among them."""
