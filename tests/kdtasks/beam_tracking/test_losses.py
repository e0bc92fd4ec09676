import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdtasks.learning.labels import IGNORED
from kdtasks.learning.losses import (
    feature_mse,
    focal_loss,
    leaning_weights,
    slot_cross_entropy,
    slot_kl,
    soft_target_kl,
)

SEEDS = st.integers(0, 2**32 - 1)
GAMMAS = st.floats(0.0, 5.0)
SAMPLES, SLOTS, BEAMS = 5, 4, 12


def logits(seed, shape=(SAMPLES, SLOTS, BEAMS)):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=shape)), torch.from_numpy(rng.normal(size=shape))


def labels(seed, ignored=0.3):
    rng = np.random.default_rng([seed, 1])
    drawn = rng.integers(0, BEAMS, (SAMPLES, SLOTS))
    return torch.from_numpy(np.where(rng.random(drawn.shape) < ignored, IGNORED, drawn))


def softened(values, temperature):
    powers = np.exp(values / temperature)
    return powers / powers.sum()


@given(SEEDS, GAMMAS)
def test_focal_loss_written_out(seed, gamma):
    student, truth = logits(seed)[0], labels(seed)
    terms = []
    for sample in range(SAMPLES):
        for slot in range(SLOTS):
            label = int(truth[sample, slot])
            if label != IGNORED:
                p = softened(student[sample, slot].numpy(), 1.0)[label]
                terms.append((1.0 - p) ** gamma * -math.log(p))
    expected = np.mean(terms) if terms else 0.0
    assert float(focal_loss(student, truth, gamma=gamma)) == pytest.approx(expected)


@given(SEEDS)
def test_focal_loss_without_focus_is_cross_entropy(seed):
    student, truth = logits(seed)[0], labels(seed)
    torch.testing.assert_close(
        focal_loss(student, truth, gamma=0.0), slot_cross_entropy(student, truth)
    )


@given(SEEDS)
def test_cross_entropy_is_the_mean_over_what_is_known(seed):
    student, truth = logits(seed)[0], labels(seed, ignored=0.2)
    known = truth != IGNORED
    expected = -torch.log_softmax(student, -1)[known].gather(-1, truth[known][:, None]).mean()
    torch.testing.assert_close(slot_cross_entropy(student, truth), expected)


LOSSES = [
    slot_cross_entropy,
    lambda student, truth: focal_loss(student, truth, gamma=2.0),
    lambda student, truth: focal_loss(student, truth, gamma=0.5),
]
by_loss = pytest.mark.parametrize("loss", LOSSES, ids=["ce", "focal 2", "focal 0.5"])


@by_loss
def test_ignored_slots_change_neither_value_nor_gradient(loss):
    student, truth = logits(1)[0].requires_grad_(), labels(1, ignored=0.0)
    (plain,) = torch.autograd.grad(loss(student, truth), student)
    longer = torch.cat([student, 1e3 * logits(2)[0]])
    padded = torch.cat([truth, torch.full_like(truth, IGNORED)])
    torch.testing.assert_close(loss(longer, padded), loss(student, truth))
    (with_padding,) = torch.autograd.grad(loss(longer, padded), student)
    torch.testing.assert_close(with_padding, plain)


@by_loss
def test_without_any_label_there_is_nothing_to_learn(loss):
    student = logits(3)[0].requires_grad_()
    value = loss(student, torch.full((SAMPLES, SLOTS), IGNORED))
    (gradient,) = torch.autograd.grad(value, student)
    assert float(value.detach()) == 0.0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@by_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certainty_costs_nothing_and_leaves_the_gradient_finite(loss, dtype):
    truth = labels(4, ignored=0.0)
    sure = 1e4 * nn.functional.one_hot(truth, BEAMS).to(dtype)
    for student in (sure.requires_grad_(), (-sure).detach().requires_grad_()):
        value = loss(student, truth)
        (gradient,) = torch.autograd.grad(value, student)
        assert torch.isfinite(gradient).all()
        assert torch.isfinite(value)
    assert float(loss(sure.detach(), truth)) == pytest.approx(0.0, abs=1e-12)


@given(SEEDS, GAMMAS, GAMMAS)
def test_more_focus_never_costs_more(seed, one, other):
    student, truth = logits(seed)[0], labels(seed)
    low, high = sorted((one, other))
    less = focal_loss(student, truth, gamma=high)
    assert less <= focal_loss(student, truth, gamma=low) + 1e-12


def test_a_negative_focus_is_refused():
    with pytest.raises(ValueError, match="gamma must be >= 0"):
        focal_loss(logits(1)[0], labels(1), gamma=-0.1)


@given(SEEDS, st.floats(0.5, 20.0), st.lists(st.floats(0.0, 3.0), min_size=4, max_size=4))
def test_the_divergence_over_slots_written_out(seed, temperature, weights):
    student, teacher = logits(seed)
    total = 0.0
    for ours, theirs in zip(student.numpy(), teacher.numpy(), strict=True):
        for slot, weight in enumerate(weights):
            p, q = softened(theirs[slot], temperature), softened(ours[slot], temperature)
            total += weight * (p * np.log(p / q)).sum()
    expected = temperature**2 * total / (SAMPLES * SLOTS)
    loss = slot_kl(student, teacher, temperature=temperature, slot_weights=weights)
    assert float(loss) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(SEEDS)
def test_weights_of_one_are_no_weights_and_slots_in_a_row_are_samples(seed):
    student, teacher = logits(seed)
    plain = slot_kl(student, teacher, temperature=2.0)
    ones = slot_kl(student, teacher, temperature=2.0, slot_weights=[1.0] * SLOTS)
    torch.testing.assert_close(ones, plain)
    rows = soft_target_kl(student.flatten(0, 1), teacher.flatten(0, 1), temperature=2.0)
    torch.testing.assert_close(plain, rows.mean())


def test_the_divergence_does_not_grow_with_slots_or_samples():
    student, teacher = logits(5)
    once = slot_kl(student, teacher, temperature=3.0)
    for repeats in ((1, 2, 1), (3, 1, 1)):
        more = slot_kl(student.repeat(repeats), teacher.repeat(repeats), temperature=3.0)
        torch.testing.assert_close(more, once)


def test_a_slot_of_weight_zero_teaches_nothing():
    student, teacher = logits(6)
    student.requires_grad_()
    loss = slot_kl(student, teacher, temperature=1.0, slot_weights=[1.0, 0.0, 1.0, 1.0])
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient[:, 1].abs().max() == 0.0
    assert gradient[:, 0].abs().max() > 0.0


def test_weights_that_do_not_fit_the_slots_are_refused():
    with pytest.raises(ValueError, match="3 weights for 4 slots"):
        slot_kl(*logits(1), temperature=1.0, slot_weights=[1.0] * 3)


@given(st.integers(1, 9), st.floats(-8.0, 8.0))
def test_leaning_weights_have_mean_one_and_the_ratio_they_promise(num_slots, lean):
    weights = leaning_weights(num_slots, lean)
    assert len(weights) == num_slots
    assert np.mean(weights) == pytest.approx(1.0)
    if num_slots > 1:
        assert weights[-1] / weights[0] == pytest.approx(math.exp(lean))
        steps = np.diff(np.log(weights))
        np.testing.assert_allclose(steps, lean / (num_slots - 1), atol=1e-9)


def test_no_lean_is_no_weighting():
    assert leaning_weights(4, 0.0) == [1.0] * 4


@given(SEEDS)
def test_feature_distance_written_out(seed):
    student, teacher = logits(seed)
    expected = np.mean((student.numpy() - teacher.numpy()) ** 2)
    assert float(feature_mse(student, teacher)) == pytest.approx(expected)
    assert float(feature_mse(student, student)) == 0.0


def test_a_projection_bridges_widths_and_learns():
    student, teacher = logits(7, (SAMPLES, SLOTS, 6))[0], logits(7)[1].requires_grad_()
    projection = nn.Linear(6, BEAMS, dtype=torch.float64)
    loss = feature_mse(student, teacher, projection=projection)
    loss.backward()
    expected = student @ projection.weight.T + projection.bias - teacher
    torch.testing.assert_close(loss, expected.square().mean())
    assert projection.weight.grad.abs().max() > 0.0
    assert teacher.grad is None
    with pytest.raises(ValueError, match="shape"):
        feature_mse(student, teacher)


def test_no_gradient_of_the_divergence_reaches_the_teacher():
    student, teacher = logits(8)
    teacher.requires_grad_()
    slot_kl(student.requires_grad_(), teacher, temperature=2.0).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0.0
