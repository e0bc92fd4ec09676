"""The complexity of Table II: what the tool thop 0.1.1 calls operations and parameters.

"Knowledge Distillation for Collaborative Learning in Distributed Communications and Sensing" prints
these numbers as FLOPs. The rules are written down here anew; the tool is not used. By them

- a convolution counts ``out_elements C_in/groups K_h K_w``, a dense layer ``out_elements L_in``;
  biases are free;
- batch norm and layer norm count four operations per element;
- adaptive average pooling counts ``pooled area + 1`` per element that comes out;
- a GRU counts ``3 ((H + I) H + 3 H) + 4 H`` per step and layer;
- activations, maximum pooling and dropout are free, and so is all that is no layer: products of
  gates, sums, softmax;
- multi-head attention is not seen, neither its operations nor its parameters.

So it is a count of multiply-accumulates, about half the floating-point operations. The paper feeds
it 8 steps of 224 px; its networks really run over 10. True counts are those of
`kdtasks.learning.complexity`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from kdtasks.learning.complexity import Output, first, watch

PAPER_STEPS = 8
"""Steps of the sequence that Table II counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThopCount:
    """Operations of one forward pass of one sample, by kind, and parameters.

    Attributes:
        products: Of convolutions and dense layers.
        batch_norm: Of batch norm.
        pooling: Of adaptive average pooling.
        gru: Of recurrent layers.
        layer_norm: Of layer norm.
        params: Parameters without those of multi-head attention.
    """

    products: int
    batch_norm: int
    pooling: int
    gru: int
    layer_norm: int
    params: int

    @property
    def operations(self) -> int:
        """All operations; Table II prints them in millions, as FLOPs."""
        return self.products + self.batch_norm + self.pooling + self.gru + self.layer_norm


Rule = Callable[[nn.Module, Tensor, Tensor], int]
"""Operations of a layer, from itself, its input and its output."""


def _convolution(layer: nn.Module, _given: Tensor, made: Tensor) -> int:
    assert isinstance(layer, nn.Conv2d)
    return made.numel() * layer.weight[0].numel()


def _dense(layer: nn.Module, _given: Tensor, made: Tensor) -> int:
    assert isinstance(layer, nn.Linear)
    return made.numel() * layer.in_features


def _norm(_layer: nn.Module, given: Tensor, _made: Tensor) -> int:
    return 4 * given.numel()


def _average(_layer: nn.Module, given: Tensor, made: Tensor) -> int:
    area = prod(before // after for before, after in zip(given.shape, made.shape, strict=True))
    return (area + 1) * made.numel()


def _gru(layer: nn.Module, given: Tensor, _made: Tensor) -> int:
    assert isinstance(layer, nn.GRU)
    steps, hidden = given.numel() // layer.input_size, layer.hidden_size
    rows = (layer.input_size, *[hidden] * (layer.num_layers - 1))
    return sum(steps * (3 * ((hidden + row) * hidden + 3 * hidden) + 4 * hidden) for row in rows)


RULES: dict[type[nn.Module], tuple[str, Rule]] = {
    nn.Conv2d: ("products", _convolution),
    nn.Linear: ("products", _dense),
    nn.BatchNorm2d: ("batch_norm", _norm),
    nn.LayerNorm: ("layer_norm", _norm),
    nn.AdaptiveAvgPool2d: ("pooling", _average),
    nn.GRU: ("gru", _gru),
}
"""The kind under which a layer counts, and how."""

FREE: frozenset[type[nn.Module]] = frozenset(
    {
        nn.AdaptiveMaxPool2d,
        nn.Dropout,
        nn.Flatten,
        nn.Identity,
        nn.MaxPool2d,
        nn.ReLU,
        nn.Sigmoid,
        nn.Tanh,
    }
)
"""Layers that count nothing."""


def thop_count(model: nn.Module, *input_shapes: Sequence[int]) -> ThopCount:
    """Count ``model`` for one input of each given shape (without batch).

    Raises:
        ValueError: If a layer of the model has no rule: nothing is left out in silence.
    """
    unseen = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    inside = {id(part) for attention in unseen for part in attention.modules()}
    layers = [m for m in model.modules() if not list(m.children()) and id(m) not in inside]
    unknown = {type(layer).__name__ for layer in layers if type(layer) not in {*RULES, *FREE}}
    if unknown:
        raise ValueError(f"the count of Table II has no rule for {', '.join(sorted(unknown))}")
    totals = {kind: 0 for kind, _ in RULES.values()}

    def visit(layer: nn.Module, inputs: tuple[Tensor, ...], output: Output) -> None:
        kind, rule = RULES[type(layer)]
        totals[kind] += rule(layer, inputs[0], first(output))

    watch(model, input_shapes, [layer for layer in layers if type(layer) in RULES], visit)
    hidden = sum(p.numel() for attention in unseen for p in attention.parameters())
    return ThopCount(**totals, params=sum(p.numel() for p in model.parameters()) - hidden)
