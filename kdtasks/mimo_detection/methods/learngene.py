"""The learngene: a contiguous segment of a collective detector, chosen, sent, and put in its place.

Units of a network are its layers from the bottom to the top, see ``units`` of the networks. After
Wang et al., "Learngene: from open-world to your learning task" (AAAI 2022), whose segment is at the
top, and Zhang et al., "Efficient deployment of deep MIMO detection using Learngene" (2025), at the
bottom.

Shape suffixes in this file: T = tasks of the stream, U = units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors
from torch import nn

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Arrays
from kdtasks.learning.tensors import load_state, state_arrays
from kdtasks.mimo_detection.models.conv import ConvPlan
from kdtasks.mimo_detection.models.family import DetectorNet, Plan
from kdtasks.mimo_detection.models.unrolled import UnrolledPlan

Rule = Literal["position", "weight-change", "gradient-share"]

STATISTICS: Mapping[Rule, str] = {
    "weight-change": "weight_change",
    "gradient-share": "gradient_share",
}
"""What the published rules go by; names of arrays of shape [T, U]."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Units in a row.

    Attributes:
        start: The first one, from 0.
        length: How many.
    """

    start: int
    length: int

    @property
    def stop(self) -> int:
        """The first unit above it."""
        return self.start + self.length


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """The units of a network by what they are.

    Attributes:
        bottom: Units that every network of the family has at its bottom.
        middle: Units of which networks have as many as they are deep.
        top: Units that every network has at its top.
    """

    bottom: int
    middle: int
    top: int

    @property
    def total(self) -> int:
        """All units."""
        return self.bottom + self.middle + self.top


def stack_of(plan: Plan) -> Stack:
    """Return the units of a plan's network."""
    if isinstance(plan, ConvPlan):
        return Stack(bottom=1, middle=len(plan.widths) - 1, top=1)
    return Stack(bottom=2 + plan.blocks, middle=1 if plan.shared else plan.layers, top=0)


def chosen(statistics_TU: NDArray[np.float32], length: int) -> Segment:
    """Return the segment that a published rule takes: where a statistic is small and flat.

    A unit's score is the mean over all tasks but the first, of which everything is learnt anew,
    plus the standard deviation over these; the run of units with the least sum is taken. Wang et
    al. use the share of gradients, and at curves; the sum is ours.

    Args:
        statistics_TU: Share of large gradients, or relative change of weights, per task and unit.
        length: Units to take.
    """
    later_TU = statistics_TU[1:] if len(statistics_TU) > 1 else statistics_TU
    score_U = later_TU.mean(axis=0) + later_TU.std(axis=0)
    sums = np.convolve(score_U, np.ones(length), mode="valid")
    return Segment(int(np.argmin(sums)), length)


def place(segment: Segment, collective: Stack, individual: Stack) -> int:
    """Return the unit of an individual from which on a segment replaces its own units.

    What is at the bottom or the top of the collective is so in the individual; what is in between
    keeps its place among the blocks, in proportion.

    Raises:
        ValueError: If the individual has too few blocks.
    """
    low, high = collective.bottom, collective.bottom + collective.middle
    blocks = max(0, min(segment.stop, high) - max(segment.start, low))
    whole = segment.start < low and segment.stop > high
    if blocks > individual.middle or (whole and collective.middle != individual.middle):
        raise ValueError(f"{blocks} blocks do not fit into {individual.middle}")
    if segment.start < low:
        return segment.start
    if segment.stop == collective.total:
        return individual.total - segment.length
    room = collective.middle - segment.length
    share = (segment.start - low) / room if room else 0.0
    return low + round(share * (individual.middle - segment.length))


def individual_plan(own: Plan, collective: Plan, segment: Segment) -> Plan:
    """Return the plan of an individual in which inherited units keep the collective's sizes.

    Raises:
        ValueError: If the segment does not fit.
    """
    start = place(segment, stack_of(collective), stack_of(own))
    if isinstance(own, UnrolledPlan) or isinstance(collective, UnrolledPlan):
        return own
    inherited = range(start, start + segment.length)
    head = len(own.widths)
    width = collective.head_width
    return ConvPlan(
        widths=tuple(width if i in inherited else w for i, w in enumerate(own.widths)),
        head_width=width if head in inherited else own.head_width,
        hidden=collective.hidden if head in inherited else own.hidden,
        bits=own.bits,
        adapter=own.adapter,
    )


def inherited_units(individual: DetectorNet, start: int, length: int) -> list[nn.Module]:
    """Return the units of an individual that come from the collective."""
    return list(individual.units.values())[start : start + length]


def cut_out(collective: DetectorNet, segment: Segment) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a segment under ``number of the unit within it/tensor``."""
    units = list(collective.units.values())[segment.start : segment.stop]
    return {
        name: array
        for number, unit in enumerate(units)
        for name, array in state_arrays(unit, f"{number}/").items()
    }


def put_in(units: Sequence[nn.Module], gene: Arrays) -> None:
    """Load the weights of a segment into the units that inherit them.

    Raises:
        DataError: If they do not fit.
    """
    for number, unit in enumerate(units):
        load_state(unit, gene, f"{number}/")


def sealed(arrays: Arrays) -> bytes:
    """Return the message that carries arrays to an edge: safetensors, header included."""
    message: bytes = safetensors.save({name: np.ascontiguousarray(a) for name, a in arrays.items()})
    return message


def opened(message: bytes) -> dict[str, NDArray[np.float32]]:
    """Read a message.

    Raises:
        DataError: If it is damaged.
    """
    try:
        return dict(safetensors.load(message))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"malformed message with a learngene: {error}") from error
