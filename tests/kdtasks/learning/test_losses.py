import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.csi_feedback.methods.codewords import normalised_mse
from kdtasks.csi_feedback.methods.job import Plan, reconstruction_terms, soft_picture_loss
from kdtasks.learning.losses import blended_terms, codeword_mse, soft_target_kl

SEEDS = st.integers(0, 2**32 - 1)
TEMPERATURES = st.floats(0.5, 50.0)


def logits(seed, shape=(5, 12)):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=shape)), torch.from_numpy(rng.normal(size=shape))


def centred(values):
    return values - values.mean(-1, keepdim=True)


def plan(**changes):
    numbers = {
        "epochs": 1,
        "encoder_epochs": 1,
        "finetune_epochs": 1,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "finetune_rate": 1e-3,
        "alpha": 0.5,
        "temperature": 5.0,
        "paper_scale": False,
        "pair_bits": 0,
        "codeword_loss": normalised_mse,
    }
    return Plan(**{**numbers, **changes})


def pictures(seed, shape=(5, 2, 3, 4)):
    student, teacher = logits(seed, shape)
    truth = torch.from_numpy(np.random.default_rng(seed + 1).uniform(0, 1, shape))
    return torch.sigmoid(student), torch.sigmoid(teacher), truth


@given(SEEDS, TEMPERATURES)
def test_it_is_the_softened_divergence_written_out(seed, temperature):
    student, teacher = logits(seed)
    expected = []
    for ours, theirs in zip(student.numpy(), teacher.numpy(), strict=True):
        p = np.exp(theirs / temperature) / np.exp(theirs / temperature).sum()
        q = np.exp(ours / temperature) / np.exp(ours / temperature).sum()
        expected.append(temperature**2 * (p * np.log(p / q)).sum())
    loss = soft_target_kl(student, teacher, temperature=temperature)
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-12)


def test_the_hot_limit_is_matching_of_centred_logits():
    # Hinton, Vinyals, Dean (2015), section 2.1; the next order in 1/T is about 1e-4 of it.
    student, teacher = logits(1)
    loss = soft_target_kl(student, teacher, temperature=1e4)
    expected = 0.5 * (centred(student) - centred(teacher)).square().mean(-1)
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0.0)


@given(SEEDS, TEMPERATURES, st.floats(-5, 5))
def test_shifts_do_not_matter_and_equals_have_no_distance(seed, temperature, shift):
    student, teacher = logits(seed)
    loss = soft_target_kl(student, teacher, temperature=temperature)
    shifted = soft_target_kl(student + shift, teacher - shift, temperature=temperature)
    torch.testing.assert_close(shifted, loss)
    same = soft_target_kl(teacher + shift, teacher, temperature=temperature)
    torch.testing.assert_close(same, torch.zeros_like(same), rtol=0.0, atol=1e-9)
    assert (loss >= -1e-12).all()


def test_its_gradient_is_that_of_cross_entropy_times_t_squared():
    # Cui et al., eq. (9) and (10), print a cross-entropy; entropy of a fixed teacher is constant.
    student, teacher = logits(2)
    student.requires_grad_()
    temperature = 3.0
    (ours,) = torch.autograd.grad(
        soft_target_kl(student, teacher, temperature=temperature).sum(), student
    )
    soft = torch.softmax(teacher / temperature, -1)
    cross = -(soft * torch.log_softmax(student / temperature, -1)).sum()
    (printed,) = torch.autograd.grad(cross, student)
    torch.testing.assert_close(ours, temperature**2 * printed)


def test_t_squared_keeps_the_gradient_finite_in_the_hot_limit():
    student, teacher = logits(3)
    student.requires_grad_()
    norms = []
    for temperature in (1e2, 1e3):
        loss = soft_target_kl(student, teacher, temperature=temperature).sum()
        norms.append(torch.autograd.grad(loss, student)[0].norm())
    torch.testing.assert_close(norms[0], norms[1], rtol=0.05, atol=0.0)


def test_no_gradient_reaches_the_teacher():
    student, teacher = logits(4)
    student.requires_grad_()
    teacher.requires_grad_()
    total = soft_target_kl(student, teacher, temperature=2.0).sum() + codeword_mse(student, teacher)
    total.backward()
    assert teacher.grad is None
    assert student.grad is not None


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be > 0"):
        soft_target_kl(*logits(1), temperature=temperature)


@pytest.mark.parametrize("loss", [codeword_mse, lambda a, b: soft_target_kl(a, b, temperature=1.0)])
def test_shapes_that_differ_are_refused_instead_of_broadcast(loss):
    student, teacher = logits(1)
    with pytest.raises(ValueError, match="shape"):
        loss(student, teacher[:1])


@given(SEEDS)
def test_codeword_mse_is_equation_11(seed):
    student, teacher = logits(seed)
    expected = np.mean((student.numpy() - teacher.numpy()) ** 2)
    assert float(codeword_mse(student, teacher)) == pytest.approx(expected)
    assert float(codeword_mse(student, student)) == 0.0


def test_hot_pictures_are_matched_in_units_of_nmse():
    output, teacher, truth = pictures(5)
    loss = soft_picture_loss(output, teacher, truth, plan(temperature=1e4))
    gap = centred(output.flatten(1)) - centred(teacher.flatten(1))
    power = (truth - 0.5).square().flatten(1).sum(-1)
    expected = (gap.square().sum(-1) / power).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0.0)


@given(SEEDS, TEMPERATURES)
def test_the_paper_weighs_distillation_by_two_t_squared_less(seed, temperature):
    ours = soft_picture_loss(*pictures(seed), plan(temperature=temperature))
    paper = soft_picture_loss(*pictures(seed), plan(temperature=temperature, paper_scale=True))
    assert float(ours / paper) == pytest.approx(2.0 * temperature**2)


def test_the_papers_scale_is_equation_10_beside_mse():
    # With K entries, NMSE is K MSE / power. For samples of one power, a CE + (1 - a) MSE of the
    # paper and our terms have the same gradients up to one common factor.
    output, teacher, truth = pictures(6)
    truth = (
        0.5 + (truth - 0.5) / (truth - 0.5).square().flatten(1).sum(-1).sqrt()[:, None, None, None]
    )
    output.requires_grad_()
    temperature = 4.0
    soft = torch.softmax(teacher.flatten(1) / temperature, -1)
    cross = -(soft * torch.log_softmax(output.flatten(1) / temperature, -1)).sum(-1).mean()
    squares = (output - truth).square().mean()
    task = reconstruction_terms(lambda _: output, truth)["total"]
    distill = soft_picture_loss(
        output, teacher, truth, plan(temperature=temperature, paper_scale=True)
    )
    (theirs,) = torch.autograd.grad(0.7 * cross + 0.3 * squares, output)
    (ours,) = torch.autograd.grad(0.7 * distill + 0.3 * task, output)
    torch.testing.assert_close(ours, truth[0].numel() * theirs)


def test_the_tasks_loss_is_the_mean_of_ratios():
    output, _, truth = pictures(7)
    terms = reconstruction_terms(lambda _: output, truth)
    ratio = (output - truth).square().flatten(1).sum(-1)
    ratio = ratio / (truth - 0.5).square().flatten(1).sum(-1)
    assert float(terms["total"]) == float(terms["task"]) == pytest.approx(float(ratio.mean()))
    assert math.isfinite(float(terms["total"]))


LOSS = st.floats(0.0, 100.0)


@given(LOSS, LOSS, st.floats(0.0, 1.0))
def test_blended_terms_are_their_weighted_mean_and_keep_both(task, distill, alpha):
    terms = blended_terms(torch.tensor(task), torch.tensor(distill), alpha=alpha)
    assert float(terms["task"]) == pytest.approx(task)
    assert float(terms["distill"]) == pytest.approx(distill)
    expected = task + alpha * (distill - task)
    assert float(terms["total"]) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_labels_do_not_matter_at_full_weight_of_the_teacher():
    terms = blended_terms(torch.tensor(math.inf), torch.tensor(2.0), alpha=1.0)
    assert float(terms["total"]) == 2.0
