r"""SDNet that unrolls interference cancellation, the strong detector.

[DESIGN]. The map of pairs is computed once; then layers, each of which cancels what it takes the
other streams to be,

.. math:: q_i = b_i - \sum_{j \neq i} (G_{ij} / G_{ii}) \hat x_j

lets streams exchange messages over the map's pixels, and adds to the logits. These
start from LMMSE; the last layer's are the answer, and every layer's are trained.

Shape suffixes in this file: B = channel uses, N = real streams, F = node channels, E = edge
channels, W = channels of the map, D = channels of a stream's state, M = bits per real stream,
K = layers.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdtasks.mimo_detection.models.features import INNER, MATCHED_LIMIT, NODE_CHANNELS
from kdtasks.mimo_detection.models.layers import PixelBlock, PixelInput, of_streams, zeroed


@dataclass(frozen=True, kw_only=True, slots=True)
class UnrolledPlan:
    """What a network is made of.

    Attributes:
        width: Channels of the map.
        blocks: Blocks of the map, after its input layer.
        layers: Cancellation layers.
        state: Channels of a stream's state.
        shared: Whether all layers are one.
        bits: Logits per real stream.
    """

    width: int = 32
    blocks: int = 1
    layers: int = 4
    state: int = 32
    shared: bool = False
    bits: int = 1


class StreamStart(nn.Module):
    """The first state of streams, from node channels and the map.

    Args:
        width: Channels of the map.
        state: Channels of a state.
    """

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.dense = nn.Linear(NODE_CHANNELS + 2 * width, state)

    def forward(self, node_BNF: Tensor, map_BNNW: Tensor) -> Tensor:
        return F.relu(self.dense(torch.cat([node_BNF, *of_streams(map_BNNW)], dim=-1)))


class CancellationLayer(nn.Module):
    """One round of cancelling and of messages.

    Args:
        plan: Sizes.
    """

    def __init__(self, plan: UnrolledPlan) -> None:
        super().__init__()
        size = plan.state
        self.speak = nn.Linear(size + 2, 3 * size)
        self.edge = nn.Linear(plan.width, size)
        self.update = nn.Sequential(
            nn.Linear(3 * size + NODE_CHANNELS + 2, 2 * size), nn.ReLU(), nn.Linear(2 * size, size)
        )
        self.last = zeroed(nn.Linear(size, plan.bits))

    def forward(
        self, state_BND: Tensor, facts_BNG: Tensor, node_BNF: Tensor, map_BNNW: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the new state and what is added to the logits.

        Args:
            state_BND: Of streams.
            facts_BNG: The symbol that a stream is taken to be, and what is left of its matched
                filter without the others, G = 2.
            node_BNF: Node channels.
            map_BNNW: The map.
        """
        queries, keys, values = self.speak(torch.cat([state_BND, facts_BNG], -1)).chunk(3, dim=-1)
        edge_BNND = self.edge(map_BNNW)
        pooled_BND = F.relu(queries[:, :, None] + keys[:, None, :] + edge_BNND).mean(dim=2)
        messages_BND = (edge_BNND * values[:, None, :]).mean(dim=2)
        known = torch.cat([state_BND, pooled_BND, messages_BND, node_BNF, facts_BNG], dim=-1)
        state_BND = state_BND + self.update(known)
        return state_BND, self.last(state_BND)


class UnrolledNet(nn.Module):
    """The network of a plan.

    Args:
        plan: What it is made of.
    """

    reads: ClassVar[tuple[str, ...]] = (
        "node_BNF",
        "edge_BNNE",
        "skip_BNM",
        "coupling_BNN",
        "matched_BN",
    )
    """What it takes of `DetectorInputs`, in order."""

    def __init__(self, plan: UnrolledPlan) -> None:
        super().__init__()
        self.map = nn.ModuleList(
            [PixelInput(plan.width), *(PixelBlock(plan.width) for _ in range(plan.blocks))]
        )
        self.start = StreamStart(plan.width, plan.state)
        self.layers = nn.ModuleList(
            CancellationLayer(plan) for _ in range(1 if plan.shared else plan.layers)
        )
        self.repeats = plan.layers if plan.shared else 1
        self.gain = nn.Parameter(torch.ones(plan.bits))

    @property
    def units(self) -> dict[str, nn.Module]:
        """What can be inherited, from the bottom to the top; the gain cannot."""
        blocks = {f"block-{number}": self.map[number] for number in range(1, len(self.map))}
        layers = {f"layer-{number}": layer for number, layer in enumerate(self.layers, start=1)}
        return {"input": self.map[0], **blocks, "start": self.start, **layers}

    def forward(
        self,
        node_BNF: Tensor,
        edge_BNNE: Tensor,
        skip_BNM: Tensor,
        coupling_BNN: Tensor,
        matched_BN: Tensor,
    ) -> Tensor:
        """Return the logits of every layer in the gauge, shape [K, B, N, M]."""
        map_BNNW = edge_BNNE
        for layer in self.map:
            map_BNNW = layer(map_BNNW)
        state_BND = self.start(node_BNF, map_BNNW)
        logits_BNM = self.gain * skip_BNM
        found = []
        for layer in [*self.layers] * self.repeats:
            symbol_BN = soft_symbol(logits_BNM)
            others_BN = (coupling_BNN @ symbol_BN[..., None])[..., 0]
            left_BN = (matched_BN - others_BN).clamp(-MATCHED_LIMIT, MATCHED_LIMIT)
            facts_BNG = torch.stack([symbol_BN, left_BN], dim=-1)
            state_BND, more_BNM = layer(state_BND, facts_BNG, node_BNF, map_BNNW)
            logits_BNM = logits_BNM + more_BNM
            found.append(logits_BNM)
        return torch.stack(found)


def soft_symbol(logits_BNM: Tensor) -> Tensor:
    """Return the expected symbols of streams in the gauge, of power 1, if bits are independent."""
    sign_BN = torch.tanh(logits_BNM[..., 0] / 2.0)
    if logits_BNM.shape[-1] == 1:
        return sign_BN
    return sign_BN * INNER * (1.0 + 2.0 * torch.sigmoid(logits_BNM[..., 1]))
