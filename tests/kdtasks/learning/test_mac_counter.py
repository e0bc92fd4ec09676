"""Multiply-accumulates of every kind of layer against counts by hand."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.learning.complexity import count


class Function(nn.Module):
    """A network without layers: a function of its inputs, and of weights if shapes are given."""

    def __init__(self, function, *shapes):
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(*shape) for shape in shapes)
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs, *self.weights)


@pytest.mark.parametrize(
    ("layer", "shapes", "macs"),
    [
        (nn.Conv1d(3, 4, 5), [(3, 9)], 5 * 4 * 15),
        (nn.Conv1d(4, 6, 3, groups=2, dilation=2, padding=2), [(4, 9)], 9 * 6 * 6),
        (nn.Conv3d(2, 3, 2), [(2, 4, 5, 6)], 3 * 4 * 5 * 3 * 16),
        # every input meets the kernel of every output channel
        (nn.ConvTranspose1d(3, 5, 4), [(3, 9)], 3 * 9 * 5 * 4),
        (nn.ConvTranspose1d(3, 5, 4, stride=3), [(3, 9)], 3 * 9 * 5 * 4),
        (nn.ConvTranspose2d(4, 6, 3, groups=2, stride=2), [(4, 5, 7)], 4 * 35 * 3 * 9),
        (nn.ConvTranspose3d(2, 3, 2), [(2, 3, 4, 5)], 2 * 60 * 3 * 8),
        (nn.Conv2d(6, 6, 3, groups=6), [(6, 5, 5)], 9 * 6 * 9),
        (nn.Bilinear(7, 3, 4), [(5, 7), (5, 3)], 5 * 4 * 7 * 3),
        (nn.LSTMCell(3, 5), [(3,)], 4 * 5 * 8),
        (nn.GRUCell(3, 5), [(3,)], 3 * 5 * 8),
        (nn.RNNCell(3, 5), [(3,)], 5 * 8),
        (nn.RNN(3, 5, 2, batch_first=True, bidirectional=True), [(7, 3)], 14 * 5 * (8 + 15)),
        (nn.LSTM(3, 5, batch_first=True).double().float(), [(7, 3)], 7 * 4 * 5 * 8),
        (nn.MultiheadAttention(8, 2, batch_first=True), [(3, 8)] * 3, 4 * 3 * 64 + 2 * 9 * 8),
        # other widths of keys and values: projected from 5 and 6
        (
            nn.MultiheadAttention(8, 2, kdim=5, vdim=6, batch_first=True),
            [(3, 8), (4, 5), (4, 6)],
            2 * 3 * 64 + 4 * 8 * 11 + 2 * 3 * 4 * 8,
        ),
        (
            nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
            [(5, 8)],
            2 * (4 * 5 * 64 + 2 * 25 * 8 + 2 * 5 * 8 * 16),
        ),
        (
            nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
            [(5, 8), (4, 8)],
            4 * 5 * 64 + 2 * 25 * 8 + 2 * (5 + 4) * 64 + 2 * 5 * 4 * 8 + 2 * 5 * 8 * 16,
        ),
        (nn.LayerNorm([3, 4]), [(3, 4)], 0),
        (nn.PReLU(4), [(4, 5)], 0),
        (nn.Sequential(*[nn.Linear(4, 4)] * 3), [(4,)], 3 * 16),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_by_hand(layer, shapes, macs):
    assert count(layer, *shapes).macs == macs
    assert count(layer, *shapes).macs == macs


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@settings(max_examples=times(25), deadline=None)
@given(
    kind=st.sampled_from([(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)]),
    sizes=st.tuples(*[st.integers(2, 6)] * 3),
    layers=st.integers(1, 3),
    directions=st.integers(1, 2),
    projected=st.booleans(),
)
def test_recurrent_layers_by_hand(kind, sizes, layers, directions, projected):
    layer, gates = kind
    size, hidden, steps = sizes
    options = {"num_layers": layers, "bidirectional": directions == 2, "batch_first": True}
    proj = 1 if projected and layer is nn.LSTM else 0
    options |= {"proj_size": proj} if proj else {}
    out = proj or hidden
    widths = [size, *[out * directions] * (layers - 1)]
    per_step = sum(gates * hidden * (width + out) + hidden * proj for width in widths)
    cost = count(layer(size, hidden, **options), (steps, size))
    assert cost.macs == steps * directions * per_step
    assert cost.flops == 2 * cost.macs


@pytest.mark.parametrize(
    ("function", "shapes", "macs"),
    [
        (lambda x: torch.einsum("bij,bkj->bik", x, x), [(3, 4)], 3 * 3 * 4),
        (lambda x: x @ x.mT, [(3, 4)], 3 * 3 * 4),
        (lambda x: torch.baddbmm(x, x, x), [(4, 4)], 64),
        (lambda x: torch.addbmm(x[0], x, x), [(4, 4)], 64),
        (lambda x: x @ torch.ones(4), [(3, 4)], 12),
        (lambda x: torch.dot(x[0, 0], x[0, 1]), [(3, 4)], 4),
        (lambda x: torch.addmv(x[0, 0], x[0], x[0, 1]), [(4, 4)], 16),
        (lambda x: F.scaled_dot_product_attention(x, x, x), [(2, 5, 4)], 2 * 2 * 25 * 4),
        (lambda x: F.conv_transpose1d(x, torch.ones(3, 5, 4)), [(3, 9)], 3 * 9 * 5 * 4),
        (lambda x: (x + 1j) @ (x.mT + 1j), [(3, 4)], 4 * 36),
        (lambda x: torch.fft.fft(x), [(3, 4)], 0),
    ],
)
def test_functions_without_a_layer_by_hand(function, shapes, macs):
    assert count(Function(function), *shapes).macs == macs


@pytest.mark.parametrize(
    ("function", "weights", "macs"),
    [
        (lambda x, w: x @ w, [(4, 5)], 20),
        (lambda x, w: x @ w.softmax(0), [(4, 5)], 20),
        # a dense layer in disguise
        (lambda x, w: (x[:, None] * w).sum(-1), [(5, 4)], 20),
        (lambda x, w: (x[:, None] * w.tanh()).sum(-1), [(5, 4)], 20),
        (lambda x, w: x[:, None].mul(w).sum(-1), [(5, 4)], 20),
        (lambda x, w: x[:, None] + w, [(5, 4)], 0),
        (lambda x, w: w[x.long()], [(5, 4)], 0),
        (lambda x, w: F.embedding(x.long(), w), [(5, 4)], 0),
        (lambda x, w: F.embedding_bag(x.long(), w), [(5, 4)], 0),
        (lambda x, w: torch.cat([x, w.expand(1, 4)], 1), [(1, 4)], 0),
        (lambda x, w: x * w, [(4,)], 0),
    ],
)
def test_weights_of_a_networks_own(function, weights, macs):
    assert count(Function(function, *weights), (4,)).macs == macs


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x, w: torch.cdist(x, w, p=1.0), "cdist"),
        (lambda x, w: torch.addcmul(x, x, w[:1]), "addcmul"),
        (lambda x, w: torch.maximum(x, w), "maximum"),
    ],
)
def test_weights_that_cannot_be_counted_are_named(function, operation):
    network = nn.Sequential(nn.Linear(4, 4), Function(function, (50, 4)))
    with pytest.raises(ConfigError) as raised:
        count(network, (4,))
    for word in ("1.weights.0", "[50, 4]", operation):
        assert word in str(raised.value)


def test_operations_that_are_not_torchs_own_are_named():
    @torch.library.custom_op("kdsweep_test::twice", mutates_args=())
    def twice(features: torch.Tensor) -> torch.Tensor:
        return 2.0 * features

    network = nn.Sequential(nn.Linear(4, 4), Function(twice))
    with pytest.raises(ConfigError, match="kdsweep_test::twice"):
        count(network, (4,))


class Masked(nn.Linear):
    def __init__(self):
        super().__init__(4, 5)
        self.register_buffer("mask", torch.ones(5, 4))

    def forward(self, features):
        return F.linear(features, self.weight * self.mask, self.bias)


@pytest.mark.parametrize("layer", [Masked(), nn.utils.parametrizations.weight_norm(Masked())])
def test_what_makes_weights_of_weights_is_free(layer):
    assert count(layer, (4,)).macs == 20


def test_counting_in_inference_mode_sees_the_same():
    layers = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.inference_mode():
        assert count(layers, (4,)).macs == 30
    fused = torch.backends.mha.get_fastpath_enabled()
    count(layers, (4,))
    assert torch.backends.mha.get_fastpath_enabled() == fused


def test_flops_count_two_for_products_without_a_published_formula():
    network = nn.Sequential(nn.Conv1d(2, 3, 1), nn.ConvTranspose1d(3, 4, 2))
    assert count(network, (2, 5)).flops == 2 * 5 * 3 * (2 + 1) + 2 * 3 * 5 * 4 * 2
