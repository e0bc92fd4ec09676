import pytest
import torch
from torch import nn

from kdtasks.beam_tracking.models.family import BEAM_MODELS, PAPER_IMAGE_SIZE
from kdtasks.beam_tracking.thop_count import PAPER_STEPS, thop_count

TABLE_II = {
    # Operations at 8 steps [M], parameters as the paper counts them.
    "image-teacher": (157.828608, 1_787_418),
    "image-teacher-gru1": (157.625344, 1_762_458),
    "image-student": (92.249216, 94_778),
    "image-radar-teacher": (179.248128, 2_931_100),
    "image-radar-student": (42.722880, 105_940),
}


def counted(name, steps, image_size=PAPER_IMAGE_SIZE):
    model = BEAM_MODELS[name]
    shapes = model.window_shapes(image_size=image_size, steps=steps)
    return thop_count(model.build(image_size=image_size), *shapes)


@pytest.mark.parametrize("name", TABLE_II)
def test_table_ii_to_the_unit(name):
    operations, params = TABLE_II[name]
    count = counted(name, PAPER_STEPS)
    assert (count.operations, count.params) == (round(1e6 * operations), params)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("image-teacher", (144_950_784, 12_443_648, 25_600, 406_528, 2_048)),
        ("image-student", (75_277_696, 16_708_608, 57_600, 203_264, 2_048)),
        ("image-radar-teacher", (165_675_008, 13_164_544, 0, 406_528, 2_048)),
        ("image-radar-student", (31_676_992, 10_776_832, 63_744, 203_264, 2_048)),
    ],
)
def test_every_kind_of_layer_has_its_share(name, kinds):
    count = counted(name, PAPER_STEPS)
    ours = (count.products, count.batch_norm, count.pooling, count.gru, count.layer_norm)
    assert ours == kinds
    assert sum(kinds) == count.operations


@pytest.mark.parametrize(
    ("steps", "millions"),
    [
        (1, (19.703, 11.531, 22.406, 5.340)),
        (7, (137.922, 80.718, 156.842, 37.383)),
        (10, (197.032, 115.312, 224.060, 53.404)),
    ],
)
def test_other_lengths_of_the_sequence(steps, millions):
    names = ("image-teacher-gru1", "image-student", "image-radar-teacher", "image-radar-student")
    ours = [counted(name, steps).operations / 1e6 for name in names]
    assert ours == pytest.approx(millions, rel=0.0, abs=5e-4)


def test_the_published_students_are_18_and_27_times_smaller_than_their_teachers():
    params = {name: counted(name, 1, 224).params for name in TABLE_II}
    assert int(params["image-teacher"] / params["image-student"]) == 18
    assert int(params["image-radar-teacher"] / params["image-radar-student"]) == 27


@pytest.mark.parametrize(
    ("layer", "shape", "operations"),
    [
        # 2 x 2 outputs of 6 channels, 4 / 2 channels of 3 x 3 each
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 4, 4), 4 * 6 * 18),
        (nn.Linear(7, 3), (5, 7), 5 * 3 * 7),
        (nn.BatchNorm2d(3), (3, 4, 5), 4 * 60),
        (nn.LayerNorm(8), (5, 8), 4 * 40),
        (nn.AdaptiveAvgPool2d(1), (3, 4, 5), 21 * 3),
        (nn.AdaptiveAvgPool2d(2), (3, 4, 6), 7 * 12),
        (nn.GRU(64, 64, batch_first=True), (1, 64), 25_408),
        # second layer: its inputs are the hidden units
        (nn.GRU(5, 4, 2, batch_first=True), (3, 5), 3 * ((3 * 48 + 16) + (3 * 44 + 16))),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Sigmoid()), (1, 4, 4), 0),
    ],
)
def test_layers_by_hand(layer, shape, operations):
    assert thop_count(layer, shape).operations == operations


@pytest.mark.parametrize("layer", [nn.GELU(), nn.Conv1d(2, 2, 1)])
def test_a_layer_without_a_rule_is_refused_instead_of_left_out(layer):
    with pytest.raises(ValueError, match=f"no rule for {type(layer).__name__}"):
        thop_count(nn.Sequential(nn.ReLU(), layer), (2, 3))


def test_counting_leaves_no_trace():
    network = BEAM_MODELS["image-student"].build(image_size=64)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    thop_count(network, (2, 1, 64, 64))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
