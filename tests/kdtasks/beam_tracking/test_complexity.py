"""Multiply-accumulates of recurrent and attention layers, and of the beam-tracking networks."""

import pytest
import torch
from beam_examples import SIDE, built
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdtasks.beam_tracking.models.family import BEAM_MODELS, PAPER_IMAGE_SIZE
from kdtasks.learning.complexity import batch1_latency_ms, count, training_bytes


def macs(name, steps):
    model = BEAM_MODELS[name]
    shapes = model.window_shapes(image_size=PAPER_IMAGE_SIZE, steps=steps)
    return count(model.build(image_size=PAPER_IMAGE_SIZE), *shapes).macs


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("image-teacher", 145.344),
        ("image-teacher-gru1", 145.147),
        ("image-student", 75.474),
        ("image-radar-teacher", 166.207),
        ("image-radar-student", 31.874),
    ],
)
def test_true_multiply_accumulates_of_8_steps(name, millions):
    assert macs(name, 8) / 1e6 == pytest.approx(millions, rel=0.0, abs=5e-4)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.GRU(5, 4, batch_first=True), (3, 5), 3 * 3 * 4 * 9),
        (nn.GRU(5, 4, 3, batch_first=True), (3, 5), 3 * 3 * 4 * (9 + 8 + 8)),
        # applied to each of six vectors
        (nn.Linear(7, 3), (6, 7), 6 * 21),
    ],
)
def test_layers_by_hand(layer, shape, expected):
    assert count(layer, shape).macs == expected


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, query, memory):
        return self.attend(query, memory, memory, need_weights=False)[0]


def test_attention_by_hand():
    # Queries and outputs of 3, keys and values of 5, each 8 x 8; then two products of 3 x 5 x 8.
    assert count(Attending(), (3, 8), (5, 8)).macs == 2 * 3 * 64 + 2 * 5 * 64 + 2 * 3 * 5 * 8


@pytest.mark.parametrize("model", BEAM_MODELS.values(), ids=lambda model: model.name)
def test_torchs_own_counter_agrees(model):
    # It sees no fused attention, whose weight products are four times 64 x 64 per step.
    network = built(model).eval()
    shapes = model.window_shapes(image_size=SIDE)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*(torch.zeros(1, *shape) for shape in shapes))
    attends = any(isinstance(module, nn.MultiheadAttention) for module in network.modules())
    unseen = 4 * 10 * 64 * 64 + 2 * 10 * 10 * 64 if attends else 0
    assert 2 * (count(network, *shapes).macs - unseen) == counter.get_total_flops()


def test_a_window_costs_as_much_as_its_frames_and_its_sequence():
    model = BEAM_MODELS["image-student"]
    network = built(model)
    whole = count(network, *model.window_shapes(image_size=SIDE))
    frame = count(network.branches["image"], (1, SIDE, SIDE))
    sequence = count(network.temporal, (10, 64))
    assert whole.macs == 10 * frame.macs + sequence.macs
    assert whole.params == frame.params + sequence.params


def test_memory_of_training_counts_what_recurrent_layers_keep():
    gru = nn.GRU(5, 4, batch_first=True)
    params = 3 * 4 * (5 + 4 + 2)
    assert training_bytes(gru, (3, 5), 7) == 4 * (4 * params + 7 * 3 * 4)


def test_latency_of_a_network_with_two_sensors():
    model = BEAM_MODELS["image-radar-student"]
    shapes = model.window_shapes(image_size=SIDE)
    assert 0.0 < batch1_latency_ms(built(model), *shapes) < 5e3
