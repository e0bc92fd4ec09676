import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mimo_examples import received
from torch import nn
from tried import times

from kdtasks.learning.complexity import count
from kdtasks.learning.random import initialised
from kdtasks.mimo_detection.link.bit_errors import compare
from kdtasks.mimo_detection.link.linear import lmmse, zero_forcing
from kdtasks.mimo_detection.link.symbols import decide
from kdtasks.mimo_detection.models.conv import ConvPlan
from kdtasks.mimo_detection.models.family import (
    LISTED,
    build,
    conv_plan,
    cost_of,
    input_shapes,
    run,
)
from kdtasks.mimo_detection.models.features import InputFeatures, features_of
from kdtasks.mimo_detection.models.layers import PixelBlock
from kdtasks.mimo_detection.models.unrolled import UnrolledPlan, soft_symbol

LINKS = ("2x2 qpsk rayleigh", "4x4 16qam kronecker-0.3", "3x5 16qam rician-3")
SMALL = {
    "conv": conv_plan(8, 2, (12,), bits=2),
    "adapted": ConvPlan(widths=(6, 8, 8, 4), head_width=8, hidden=(5, 7), bits=2),
    "cut": ConvPlan(widths=(6, 8), head_width=4, hidden=(5,), bits=2, adapter="cut"),
    "unrolled": UnrolledPlan(width=6, layers=2, state=8, bits=2),
    "shared": UnrolledPlan(width=6, blocks=0, layers=3, state=8, shared=True, bits=2),
}
FEATURES = (
    InputFeatures(bits=2),
    InputFeatures(gauge="lmmse", skip="lmmse", bits=2),
    InputFeatures(gauge="zf", skip="lmmse", bits=2, noise_blind=True),
)


def awake(plan):
    """Return a network all of whose weights are random, also those that start at zero."""
    network = initialised(0, "awake", lambda: build(plan))
    with torch.no_grad():
        for place, parameter in enumerate(network.parameters()):
            generator = torch.Generator().manual_seed(place)
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def logits_of(network, seen, input_features):
    with torch.no_grad():
        return run(network, features_of(seen, input_features))


def params(plan):
    return sum(p.numel() for p in build(plan).parameters())


def test_the_listed_networks_have_the_measured_sizes():
    assert {name: params(plan) for name, plan in LISTED.items()} == {
        "collective": 23_682,
        "individual": 17_474,
        "individual 10.8 %": 32_996,
        "conv detector": 42_130,
        "unrolled detector": 58_821,
        "unrolled detector, one layer": 19_074,
        "unrolled individual": 32_323,
    }
    units = build(LISTED["collective"]).units
    sizes = {name: sum(p.numel() for p in unit.parameters()) for name, unit in units.items()}
    assert sizes["input"] + sizes["block-1"] == 3552
    assert sizes["block-6"] + sizes["head"] == 7713
    top = build(LISTED["unrolled individual"]).units["layer-2"]
    assert sum(p.numel() for p in top.parameters()) == 13_249


@pytest.mark.parametrize("name", SMALL)
def test_operations_are_counted_and_sizes_know_no_antennas(name):
    plan = SMALL[name]
    network = build(plan)
    for streams in (2, 4):
        cost = cost_of(plan, streams)
        assert cost == count(network, *input_shapes(network, streams))
        assert cost.params == params(plan)
    assert cost_of(plan, 4).macs > 2 * cost_of(plan, 2).macs


def test_operations_of_one_block_are_those_of_its_formula():
    n, w = 6, 5
    assert count(PixelBlock(w), (n, n, w)).macs == n * n * w * w + 2 * n * w * w


def test_a_block_is_one_convolution_of_pixel_row_and_column():
    block = initialised(0, "block", lambda: PixelBlock(5))
    h = torch.randn(3, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    rows, columns = (h.mean(dim, keepdim=True).expand_as(h) for dim in (2, 1))
    weight = torch.cat([part.weight for part in (block.pixel, block.row, block.column)], dim=1)
    whole = nn.functional.linear(torch.cat([h, rows, columns], -1), weight, block.pixel.bias)
    torch.testing.assert_close(block(h), h + whole.relu())


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("start", ["zf", "lmmse"])
def test_a_fresh_network_decides_as_what_it_starts_from(link, name, start):
    # Networks begin with the estimate taken for the channel.
    seen = replace(received(link, 400, 14.0), pilot_energy=math.inf)
    input_features = InputFeatures(gauge=start, skip=start, bits=2)
    network = initialised(1, "fresh", lambda: build(SMALL[name]))
    bits = seen.bits_BNM.shape[-1]
    ours = (logits_of(network, seen, input_features)[-1][..., :bits] > 0.0).to(torch.uint8)
    linear = decide({"zf": zero_forcing, "lmmse": lmmse}[start](seen), bits)
    # An estimate on a threshold, to the last digit, may fall on either side.
    assert compare(ours, linear).ratio < 1e-3


def permuted(seen, order):
    streams = seen.estimate_BRS.shape[-1]
    both = torch.cat([order, order + streams])
    return replace(
        seen, estimate_BRS=seen.estimate_BRS[..., order], bits_BNM=seen.bits_BNM[:, both]
    ), both


def turned(seen, stream):
    """Multiply a column of the estimate by j, which turns symbols by -90 degrees."""
    factor = torch.ones(seen.estimate_BRS.shape[-1], dtype=torch.complex64)
    factor[stream] = 1j
    return replace(seen, estimate_BRS=seen.estimate_BRS * factor)


@pytest.mark.parametrize("input_features", FEATURES, ids=["zf", "lmmse", "blind"])
@pytest.mark.parametrize("name", SMALL)
@given(order=st.permutations(range(4)))
@settings(max_examples=times(5))
def test_another_order_of_streams_is_another_order_of_logits(name, input_features, order):
    network = awake(SMALL[name])
    seen = received("4x5 16qam rayleigh", 20, 12.0)
    other, both = permuted(seen, torch.tensor(order))
    before = logits_of(network, seen, input_features)
    after = logits_of(network, other, input_features)
    torch.testing.assert_close(after, before[:, :, both], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("input_features", FEATURES, ids=["zf", "lmmse", "blind"])
@pytest.mark.parametrize("name", SMALL)
def test_turning_a_column_turns_its_bits_and_nothing_else(name, input_features):
    network = awake(SMALL[name])
    seen = received("4x5 16qam rayleigh", 200, 12.0)
    before, after = (
        logits_of(network, one, input_features) for one in (seen, turned(turned(seen, 2), 2))
    )
    flipped = before.clone()
    flipped[:, :, [2, 6], 0] *= -1.0  # twice by 90 degrees is a change of sign
    torch.testing.assert_close(after, flipped, rtol=1e-3, atol=1e-3)
    quarter = logits_of(network, turned(seen, 2), input_features)
    # x becomes -j x: the real part is the old imaginary part, the imaginary part minus the real.
    expected = before.clone()
    expected[:, :, 2] = before[:, :, 6]
    expected[:, :, 6] = before[:, :, 2]
    expected[:, :, 6, 0] *= -1.0
    torch.testing.assert_close(quarter, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_that_is_blind_to_noise_does_not_hear_of_it(name):
    network = awake(SMALL[name])
    seen = received("4x4 16qam rayleigh", 50, 12.0)
    louder = replace(seen, noise_B=3.0 * seen.noise_B)
    blind = InputFeatures(bits=2, noise_blind=True)
    assert torch.equal(logits_of(network, seen, blind), logits_of(network, louder, blind))
    text = InputFeatures(bits=2)
    assert not torch.allclose(logits_of(network, seen, text), logits_of(network, louder, text))


def test_what_was_sent_is_not_looked_at():
    seen = received("2x2 16qam rayleigh", 30, 12.0)
    other = replace(seen, bits_BNM=1 - seen.bits_BNM)
    for input_features in FEATURES:
        one, two = features_of(seen, input_features), features_of(other, input_features)
        for name in one.__slots__:
            assert torch.equal(getattr(one, name), getattr(two, name))


def test_a_sure_symbol_is_a_level():
    sure = 40.0 * torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    levels = torch.tensor([1.0, 3.0, -3.0]) / 5.0**0.5
    torch.testing.assert_close(soft_symbol(sure), levels)
    torch.testing.assert_close(soft_symbol(sure[..., :1]), torch.tensor([1.0, 1.0, -1.0]))


def test_the_same_weights_run_at_any_numbers_of_antennas():
    network = awake(SMALL["conv"])
    for link in ("2x2 16qam rayleigh", "4x8 16qam rayleigh", "8x8 16qam rayleigh"):
        seen = received(link, 5, 10.0)
        assert logits_of(network, seen, FEATURES[0]).shape == (1, *seen.bits_BNM.shape)


def test_plans_are_described_in_json():
    for plan in LISTED.values():
        json.dumps({"params": cost_of(plan, 4).params, "macs": cost_of(plan, 4).macs})
