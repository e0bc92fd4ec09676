import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from kdtasks.learning.losses import anchored, bit_cross_entropy, layered, soft_bit_kl

SHAPE = (5, 4, 2)


def logits(seed, layers=1):
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.randn(layers, *SHAPE, generator=generator)


BITS = (logits(99)[0] > 0.0).to(torch.uint8)


def test_one_layer_is_the_plain_mean_and_layers_count_by_their_number():
    loss = logits(0, layers=3).abs()
    assert layered(loss[:1]) == pytest.approx(float(loss[0].mean()))
    means = loss.flatten(1).mean(1)
    expected = (means[0] + 2.0 * means[1] + 3.0 * means[2]) / 6.0
    assert layered(loss) == pytest.approx(float(expected))


@given(st.integers(0, 1000))
def test_cross_entropy_is_the_loss_of_the_probability_of_what_was_sent(seed):
    found = logits(seed)
    right = torch.where(BITS.bool(), torch.sigmoid(found), torch.sigmoid(-found))
    torch.testing.assert_close(bit_cross_entropy(found, BITS), -right.log().mean())


def test_logits_of_bits_that_were_not_sent_do_not_count():
    found = logits(1)
    assert bit_cross_entropy(found, BITS[..., :1]) == bit_cross_entropy(
        found[..., :1], BITS[..., :1]
    )


@given(st.integers(0, 1000), st.floats(0.5, 8.0))
def test_soft_kl_is_that_of_two_classes_and_vanishes_for_equals(seed, temperature):
    student, teacher = logits(seed), logits(seed + 1001)[0]

    def classes(x):
        return F.log_softmax(torch.stack([x, torch.zeros_like(x)], -1) / temperature, -1)

    kl = F.kl_div(classes(student[0]), classes(teacher), reduction="none", log_target=True).sum(-1)
    found = soft_bit_kl(student, teacher, temperature=temperature)
    torch.testing.assert_close(found, temperature**2 * kl.mean(), rtol=1e-4, atol=1e-5)
    same = soft_bit_kl(teacher[None], teacher, temperature=temperature)
    assert float(same) == pytest.approx(0.0, abs=1e-5)


def test_gradients_never_reach_the_teacher():
    student, teacher = logits(0).requires_grad_(), logits(1)[0].requires_grad_()
    soft_bit_kl(student, teacher, temperature=2.0).backward()
    assert student.grad is not None
    assert teacher.grad is None
    with pytest.raises(ValueError, match="temperature=0"):
        soft_bit_kl(student, teacher, temperature=0.0)


def test_the_penalty_is_a_spring_of_the_strength_of_importance():
    anchor, weight = torch.tensor([1.0, 2.0]), torch.tensor([1.5, 0.0], requires_grad=True)
    strength = torch.tensor([4.0, 0.5])
    loss = anchored([weight, anchor], [anchor, anchor], [strength, strength])
    assert float(loss.detach()) == pytest.approx(0.5 * (4.0 * 0.25 + 0.5 * 4.0))
    loss.backward()
    torch.testing.assert_close(weight.grad, strength * (weight.detach() - anchor))
