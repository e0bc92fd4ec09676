import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRBlock, CRNetDecoder, CRNetEncoder
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.learning.complexity import count
from kdtasks.learning.random import initialised

SHAPES = st.builds(
    LightShape,
    depth=st.integers(0, 4),
    width=st.integers(1, 6),
    kernel=st.sampled_from([3, 5, 7, 9]),
    factorised=st.booleans(),
)
SIDES = st.integers(2, 9)


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def flops(width=2, depth=1, kernel=3, *, factorised=False):
    shape = LightShape(depth=depth, width=width, kernel=kernel, factorised=factorised)
    return count(LightEncoder(16, 16, 32, shape), (2, 16, 16)).flops


@settings(max_examples=times(40))
@given(SIDES, SIDES, st.integers(1, 20), SHAPES, st.booleans(), st.integers(1, 5))
def test_any_picture_any_compression_any_member(antennas, tones, length, shape, crnet, width):
    encoder = (
        CRNetEncoder(antennas, tones, length)
        if crnet
        else LightEncoder(antennas, tones, length, shape)
    )
    decoder = CRNetDecoder(antennas, tones, length, width=width)
    pictures = noise(3, 2, antennas, tones)
    codewords = encoder(pictures)
    assert codewords.shape == (3, length)
    outputs = decoder(codewords)
    assert outputs.shape == pictures.shape
    assert ((outputs > 0.0) & (outputs < 1.0)).all()
    assert torch.equal(
        Autoencoder(encoder, decoder).eval()(pictures), decoder.eval()(encoder.eval()(pictures))
    )


def test_the_member_of_depth_one_is_crnet_se():
    encoder = LightEncoder(32, 32, 128, LightShape())
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.named_parameters()}
    # Conv 3x3 2->2 with batch norm, then dense 2048->N_s, and nothing else.
    assert list(shapes.values()) == [(2, 2, 3, 3), (2,), (2,), (128, 2048), (128,)]
    norm = encoder.convolutions[0][1]
    pictures = noise(4, 2, 32, 32)
    convolved = torch.nn.functional.conv2d(pictures, encoder.convolutions[0][0].weight, padding=1)
    scaled = (convolved - norm.running_mean.view(1, -1, 1, 1)) / torch.sqrt(
        norm.running_var + norm.eps
    ).view(1, -1, 1, 1)
    expected = encoder.dense(torch.where(scaled > 0.0, scaled, 0.3 * scaled).flatten(1))
    torch.testing.assert_close(encoder.eval()(pictures), expected)


def test_width_is_without_effect_below_depth_two():
    assert flops(width=2, depth=1) == flops(width=64, depth=1)
    assert flops(width=2, depth=0) == flops(width=64, depth=0) == (2 * 512 - 1) * 32


def test_depth_zero_is_a_linear_code():
    encoder = LightEncoder(4, 3, 5, LightShape(depth=0)).eval()
    one, other = noise(2, 2, 4, 3), noise(2, 2, 4, 3).flip(0)
    zero = encoder(torch.zeros(2, 2, 4, 3))
    mixed = encoder(0.3 * one + 0.7 * other) - zero
    torch.testing.assert_close(mixed, 0.3 * (encoder(one) - zero) + 0.7 * (encoder(other) - zero))


@pytest.mark.parametrize("factorised", [False, True])
@settings(max_examples=times(25))
@given(depth=st.integers(2, 5), width=st.integers(1, 30), kernel=st.sampled_from([3, 5, 7]))
def test_complexity_grows_with_every_dimension(factorised, depth, width, kernel):
    here = flops(width, depth, kernel, factorised=factorised)
    assert flops(width + 1, depth, kernel, factorised=factorised) > here
    assert flops(width, depth + 1, kernel, factorised=factorised) > here
    assert flops(width, depth, kernel + 2, factorised=factorised) > here


def test_factorised_kernels_are_cheaper_where_they_are_large():
    assert flops(8, 3, 9, factorised=True) < flops(8, 3, 9) / 3


def test_a_shorter_codeword_is_cheaper():
    costs = [count(CRNetEncoder(8, 8, length), (2, 8, 8)).flops for length in (4, 8, 16)]
    assert costs == sorted(costs)


@settings(max_examples=times(20))
@given(st.integers(0, 1000), st.sampled_from([8, 32]), st.integers(1, 16))
def test_the_decoder_starts_near_the_zero_of_the_picture(seed, side, width):
    decoder = initialised(seed, "decoder", lambda: CRNetDecoder(side, side, 16, width=width))
    outputs = decoder(torch.randn(64, 16, generator=torch.Generator().manual_seed(seed)))
    # The head's scale of 0.05 goes through the slope of the sigmoid, 1/4: deviation 0.0125.
    assert float((outputs - 0.5).detach().square().mean().sqrt()) < 0.02


def test_a_block_starts_as_the_identity_up_to_its_activation():
    # ReZero: the scale of the residual branch starts at zero.
    pictures = noise(3, 2, 5, 6) - 0.5
    expected = torch.where(pictures > 0.0, pictures, 0.3 * pictures)
    assert torch.equal(CRBlock(4)(pictures), expected)


def test_every_parameter_of_a_started_decoder_can_learn():
    decoder = CRNetDecoder(6, 5, 4)
    for block in decoder.blocks:
        torch.nn.init.constant_(block.scale, 0.1)
    (decoder(noise(8, 4)) - noise(8, 2, 6, 5)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0.0 for p in decoder.parameters())


def test_the_teacher_is_heavier_than_every_light_encoder_of_the_default_study():
    teacher = count(CRNetEncoder(16, 16, 32), (2, 16, 16)).flops
    assert teacher > flops(width=8, depth=3)
