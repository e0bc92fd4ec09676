import numpy as np
import pytest
import torch
from beam_examples import SIDE, built, shared_windows, whole_windows
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from tried import times

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.beam_tracking.models.layers import (
    AdditiveAttention,
    AverageAndMax,
    ChannelGate,
    SelfAttention,
    SpatialGate,
)
from kdtasks.learning.complexity import count
from kdtasks.learning.tensors import load_state, state_arrays
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS, NUM_STEPS

MODELS = list(BEAM_MODELS.values())
STUDENTS = [model for model in MODELS if model.role == "student"]
TEACHERS = [model for model in MODELS if model.role == "teacher"]
by_name = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
by_student = pytest.mark.parametrize("model", STUDENTS, ids=lambda model: model.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "image_size", "expected"),
    [
        ("image-teacher", 224, 1_787_418),
        ("image-teacher-gru1", 224, 1_762_458),
        ("image-teacher-gru1", 64, 287_898),
        ("image-student", 224, 94_778),
        ("image-student", 64, 94_778),
        ("image-radar-teacher", 224, 2_947_740),
        ("image-radar-student", 224, 105_940),
        ("image-radar-student", 64, 105_940),
    ],
)
def test_parameters_are_the_papers(name, image_size, expected):
    assert parameters(BEAM_MODELS[name].build(image_size=image_size)) == expected


PARTS = {
    # In the order of the state dict: branch of each sensor, fusion, norm, GRU, attention, head.
    "image-teacher-gru1": [24_888, 4_192, 3_137, 1_684_224, 128, 24_960, 8_449, 12_480],
    "image-student": [15_696, 20_952, 7_057, 13_440, 128, 24_960, 4_225, 8_320],
    "image-radar-teacher": [
        24_888,
        1_684_224,
        24_036,
        1_127_168,
        8_256,
        128,
        49_920,
        16_640,
        12_480,
    ],
    "image-radar-student": [6_872, 3_964, 57_536, 128, 24_960, 12_480],
    "radar-teacher": [24_036, 1_127_168, 128, 49_920, 16_640, 12_480],
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_its_parameters_and_stands_in_its_place(name):
    model = BEAM_MODELS[name].build(image_size=224)
    bounds = np.cumsum([0, *(p.numel() for p in model.parameters())])
    assert set(np.cumsum(PARTS[name])) <= set(bounds)
    assert bounds[-1] == sum(PARTS[name])
    kinds = [key.split(".")[0] for key in model.state_dict()]
    assert kinds == sorted(kinds, key=["branches", "fusion", "temporal"].index)


LAYERS = {
    "image-teacher": "CNRM CNRM CNRM CNRM CNRM aCRCS CS F LRD5 LRD3 LRD2 L n G L T L LRD5 LRD3 L",
    "image-student": "CNRM CNRCNRM CNRCNRM CNRCNRM aCRCS CS mF LR L n G LTL LRD3 L",
    "image-radar-teacher": (
        "CNRM CNRM CNRM CNRM CNRM F LRD5 LRD3 LRD2 L"
        "CNR CNR CNR CNR F LRD5 LRD3 LRD2 L LRD3 n G A LRD5 LRD3 L"
    ),
    "image-radar-student": (
        "CNR CNRCNR CNRCNR CNRCNR CNRCNR am CNR CNRCNR CNRCNR CNRCNR am LRD3 L n G LRD5 LRD3 L"
    ),
}
LETTERS = {
    nn.Conv2d: "C",
    nn.BatchNorm2d: "N",
    nn.ReLU: "R",
    nn.MaxPool2d: "M",
    nn.AdaptiveAvgPool2d: "a",
    nn.AdaptiveMaxPool2d: "m",
    nn.Sigmoid: "S",
    nn.Tanh: "T",
    nn.Flatten: "F",
    nn.Linear: "L",
    nn.LayerNorm: "n",
    nn.GRU: "G",
    nn.MultiheadAttention: "A",
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_run_in_the_order_of_the_paper(name):
    model = built(BEAM_MODELS[name])
    seen = []

    def note(module, _inputs, _output):
        if isinstance(module, nn.Dropout):
            seen.append(f"D{round(10 * module.p)}")
        else:
            seen.append(LETTERS.get(type(module), ""))

    for module in model.modules():
        module.register_forward_hook(note)
    model.eval()(*whole_windows(model, 1))
    assert "".join(seen) == LAYERS[name].replace(" ", "")


def test_dropout_between_recurrent_layers_is_the_papers():
    def share(name):
        return BEAM_MODELS[name].build(image_size=SIDE).temporal.gru.dropout

    assert (share("image-teacher"), share("image-radar-teacher")) == (0.8, 0.5)
    assert share("image-teacher-gru1") == share("image-student") == 0.0


@by_name
def test_outputs_have_their_shapes(model):
    network = built(model)
    outputs = network(*whole_windows(network, 3))
    assert outputs.logits.shape == (3, NUM_STEPS, NUM_BEAMS)
    assert outputs.frame_features.shape == (3, NUM_STEPS, network.num_features)
    assert outputs.output_features.shape == (3, NUM_STEPS, network.num_outputs)
    assert torch.equal(outputs.predicted().logits, outputs.logits[:, NUM_STEPS - NUM_SLOTS :])
    windows = whole_windows(network, 3)
    assert [w.shape[1:] for w in windows] == list(model.window_shapes(image_size=SIDE))


@by_name
@settings(max_examples=times(4))
@given(seed=st.integers(0, 1000), num_windows=st.integers(1, 4))
def test_shared_frames_give_the_numbers_of_whole_windows(model, seed, num_windows):
    network = built(model, seed=seed).double().eval()
    with torch.no_grad():
        shared = network.gathered(
            *shared_windows(network, num_windows, seed=seed, dtype=torch.float64)
        )
        whole = network(*whole_windows(network, num_windows, seed=seed, dtype=torch.float64))
    for ours, theirs in zip(shared, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@by_name
def test_frames_then_sequence_is_the_whole(model):
    network = built(model).double().eval()
    windows = whole_windows(network, 2, dtype=torch.float64)
    features = network.frames(*(window.flatten(0, 1) for window in windows))
    assert features.shape == (2 * NUM_STEPS, network.num_features)
    outputs = network.sequence(features.view(2, NUM_STEPS, -1))
    torch.testing.assert_close(outputs.logits, network(*windows).logits)


@by_name
def test_the_classifier_takes_the_output_features_and_the_norm_the_frames(model):
    network = built(model).eval()
    outputs = network(*whole_windows(network, 2))
    torch.testing.assert_close(network.temporal.head(outputs.output_features), outputs.logits)
    # Layer norm starts as a plain standardisation.
    mean, variance = outputs.frame_features.mean(-1), outputs.frame_features.var(-1, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0.0, atol=1e-5)
    assert (variance < 1.0 + 1e-4).all()


@by_name
def test_windows_of_a_batch_do_not_mix(model):
    network = built(model).double().eval()
    windows = whole_windows(network, 3, dtype=torch.float64)
    together = network(*windows).logits
    alone = network(*(window[1:2] for window in windows)).logits
    torch.testing.assert_close(together[1:2], alone)


@by_name
def test_what_reads_ahead_has_attention(model):
    network = built(model).double().eval()
    windows = whole_windows(network, 1, dtype=torch.float64)
    changed = [window.clone() for window in windows]
    changed[-1][:, -1] += 1.0
    gap = (network(*windows).logits - network(*changed).logits).detach().abs().amax((0, 2))
    assert gap[-1] > 0.0
    attends = not isinstance(network.temporal.attention, nn.Identity)
    assert bool(gap[0] > 0.0) is attends


@by_name
def test_every_parameter_can_learn(model):
    # In evaluation mode, so that no dropout hides a path.
    network = built(model).eval()
    outputs = network(*(window + 0.1 for window in whole_windows(network, 4)))
    (outputs.logits.square().mean() + outputs.output_features.square().mean()).backward()
    # The bias of additive scores is the same for all positions, so softmax leaves it no slope.
    flat = {name for name, p in network.named_parameters() if not p.grad.abs().max() > 1e-12}
    assert flat <= {"temporal.attention.score.bias"}


@by_student
@settings(max_examples=times(8))
@given(width=st.floats(0.02, 2.0))
def test_students_of_any_width_fit_and_a_wider_one_costs_no_less(model, width):
    network, wider = (built(model, width=factor) for factor in (width, 1.25 * width))
    outputs = network.eval()(*whole_windows(network, 1))
    assert outputs.logits.shape == (1, NUM_STEPS, NUM_BEAMS)
    assert outputs.frame_features.shape[-1] == network.num_features
    assert outputs.output_features.shape[-1] == network.num_outputs
    shapes = model.window_shapes(image_size=SIDE)
    ours, theirs = count(network, *shapes), count(wider, *shapes)
    assert ours.params <= theirs.params
    assert ours.macs <= theirs.macs


@by_student
def test_half_and_double_width_are_cheaper_and_dearer(model):
    sizes = [parameters(model.build(image_size=SIDE, width=width)) for width in (0.5, 1.0, 2.0)]
    assert sizes[0] < 0.4 * sizes[1]
    assert sizes[2] > 3.0 * sizes[1]


@by_student
@pytest.mark.parametrize("width", [0.0, -1.0])
def test_a_width_that_is_not_positive_is_refused(model, width):
    with pytest.raises(ValueError, match="width must be > 0"):
        model.build(image_size=SIDE, width=width)


@pytest.mark.parametrize("model", TEACHERS, ids=lambda model: model.name)
def test_teachers_come_in_one_width(model):
    with pytest.raises(ValueError, match=f"only students have a width: {model.name}"):
        model.build(image_size=SIDE, width=0.5)


@pytest.mark.parametrize("name", ["image-teacher", "image-radar-teacher"])
@pytest.mark.parametrize("image_size", [0, 16, 100])
def test_images_that_cannot_be_halved_five_times_are_refused(name, image_size):
    with pytest.raises(ValueError, match="multiple of 32"):
        BEAM_MODELS[name].build(image_size=image_size)


@by_name
def test_the_family_states_what_it_builds(model):
    assert BEAM_MODELS[model.name] is model
    assert model.build(image_size=SIDE).sensors == model.sensors


@by_name
def test_weights_travel_as_plain_arrays(model):
    one, other = built(model, seed=1).eval(), built(model, seed=2).eval()
    arrays = state_arrays(one)
    assert all(array.flags.c_contiguous for array in arrays.values())
    load_state(other, arrays)
    windows = whole_windows(one, 1)
    assert torch.equal(other(*windows).logits, one(*windows).logits)


def test_gates_by_hand():
    maps = noise(2, 6, 5, 4)
    channel, spatial = ChannelGate(6), SpatialGate(6)
    means = maps.mean((2, 3))
    hidden = torch.relu(means @ channel.squeeze.weight[:, :, 0, 0].T + channel.squeeze.bias)
    gate = torch.sigmoid(hidden @ channel.excite.weight[:, :, 0, 0].T + channel.excite.bias)
    torch.testing.assert_close(channel(maps), maps * gate[:, :, None, None])
    padded = nn.functional.pad(maps, (3, 3, 3, 3))
    score = torch.zeros(2, 5, 4)
    for row in range(5):
        for column in range(4):
            patch = padded[:, :, row : row + 7, column : column + 7]
            score[:, row, column] = (patch * spatial.look.weight).sum((1, 2, 3))
    gate = torch.sigmoid(score + spatial.look.bias)
    torch.testing.assert_close(spatial(maps), maps * gate[:, None], rtol=1e-4, atol=1e-5)


def test_pooling_gives_means_before_maxima():
    maps = noise(3, 2, 4, 5)
    expected = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
    torch.testing.assert_close(AverageAndMax()(maps), expected)


def test_additive_attention_by_hand():
    hidden, layer = noise(2, 5, 8), AdditiveAttention(8, 6)
    for window, ours in zip(hidden, layer(hidden), strict=True):
        scores = [layer.score(torch.tanh(layer.project(state))) for state in window]
        weights = torch.softmax(torch.cat(scores), 0)
        context = sum(w * state for w, state in zip(weights, window, strict=True))
        torch.testing.assert_close(ours, window + context)


def test_self_attention_by_hand():
    hidden, layer = noise(1, 5, 16, seed=3), SelfAttention(16).eval()
    with torch.no_grad():
        ours = layer(hidden)[0]
        together = hidden[0] @ layer.attend.in_proj_weight.T + layer.attend.in_proj_bias
        found = []
        for start in range(0, 16, 2):  # 8 heads of 2
            query, key, value = (together[:, k + start : k + start + 2] for k in (0, 16, 32))
            found.append(torch.softmax(query @ key.T / 2**0.5, -1) @ value)
        expected = hidden[0] + layer.attend.out_proj(torch.cat(found, -1))
    torch.testing.assert_close(ours, expected)


def test_gps_positions_are_scaled_and_nothing_else():
    network = built(BEAM_MODELS["gps-student"])
    position = noise(5, 2) * 30.0
    expected = network.branches["gps"].dense(position / 50.0)
    torch.testing.assert_close(network.frames(position), expected)


@given(seed=st.integers(0, 99), unit=st.floats(1e-6, 1e6), unknown=st.integers(0, 63))
def test_powers_count_relative_to_the_strongest_and_unknown_ones_as_none(seed, unit, unknown):
    network = built(BEAM_MODELS["power-student"]).double()
    power = noise(3, 64, seed=seed).double().square()
    power[:, unknown] = 0.0
    expected = network.frames(power)
    torch.testing.assert_close(network.frames(unit * power), expected)
    power[:, unknown] = torch.nan
    torch.testing.assert_close(network.frames(power), expected)
