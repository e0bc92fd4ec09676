"""Made-up windows, and what a student is taught of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.learning.losses import activation_loss, entropy_loss, logit_mse, slot_kl
from kdtasks.learning.random import initialised
from kdtasks.lidar_beam.methods.imitation import (
    Lesson,
    gaussian,
    generated,
    hand_set,
    soft_loss,
)
from kdtasks.lidar_beam.models.family import LIDAR_TEACHERS, WINDOW_SHAPE
from kdtasks.lidar_beam.models.objects import ObjectGenerator
from kdtasks.lidar_beam.models.student import LidarStudent

SEEDS = st.integers(0, 2**32 - 1)
TEACHER = initialised(0, "teacher", LIDAR_TEACHERS["gru"]).eval().requires_grad_(False)
STUDENT = initialised(0, "student", LidarStudent).eval()
KL = soft_loss("kl", 2.0)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=draws(seed))


@given(SEEDS)
def test_logit_distance_written_out(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 5))
    total = sum(
        (ours[b, t, k] - theirs[b, t, k]) ** 2 for b in range(3) for t in range(4) for k in range(5)
    )
    loss = logit_mse(torch.from_numpy(ours), torch.from_numpy(theirs))
    assert float(loss) == pytest.approx(total / 60)


def test_logit_distance_sees_what_kl_does_not():
    ours, theirs = noise(3, 4, 6).double(), noise(3, 4, 6, seed=1).double()
    moved = ours + 2.0
    torch.testing.assert_close(
        slot_kl(moved, theirs, temperature=2.0), slot_kl(ours, theirs, temperature=2.0)
    )
    assert logit_mse(theirs + 2.0, theirs) == pytest.approx(4.0)
    # The hot limit of KL is half the distance of what is left without the means, over the classes.
    centred = [part - part.mean(-1, keepdim=True) for part in (ours, theirs)]
    hot = slot_kl(ours, theirs, temperature=1e4)
    assert float(hot) == pytest.approx(float(logit_mse(*centred)) / 2, rel=1e-3)


@given(SEEDS)
def test_activation_and_entropy_written_out(seed):
    rng = np.random.default_rng(seed)
    features, logits = rng.normal(size=(3, 5)), rng.normal(size=(3, 2, 4))
    expected = -sum(abs(features[b, f]) for b in range(3) for f in range(5)) / 15
    assert float(activation_loss(torch.from_numpy(features))) == pytest.approx(expected)
    total = 0.0
    for slot in range(2):
        powers = np.exp(logits[:, slot])
        mean = (powers / powers.sum(1, keepdims=True)).mean(0)
        total += sum(p * math.log(p) for p in mean) / 2
    assert float(entropy_loss(torch.from_numpy(logits))) == pytest.approx(total)


def test_entropy_is_least_where_all_beams_occur_and_nothing_where_one_does():
    each = 1e3 * torch.eye(8)[:, None, :].double()
    assert float(entropy_loss(each)) == pytest.approx(-math.log(8))
    assert float(entropy_loss(each[:1].expand(8, 1, 8))) == pytest.approx(0.0)
    certain = each.clone().requires_grad_()
    entropy_loss(certain).backward()
    assert certain.grad.isfinite().all()


def test_made_up_windows_are_of_their_kind_and_never_the_same():
    generator = initialised(1, "generator", ObjectGenerator)
    made = {
        "gaussian": gaussian(draws()),
        "prior": hand_set(draws()),
        "generated": generated(generator, draws()),
    }
    for name, source in made.items():
        one, other = source(300), source(300)
        assert one.shape == (300, *WINDOW_SHAPE)
        assert not one.requires_grad
        assert not torch.equal(one, other)
        assert bool((one < 0).any()) == (name == "gaussian")
        assert (one == 0).float().mean() == pytest.approx(
            {"gaussian": 0.0, "prior": 0.9, "generated": 0.94}[name], abs=0.04
        )


@pytest.mark.parametrize(("steps", "count"), [("last", 4), ("all", 11)])
def test_the_teacher_is_queried_about_every_window_once(steps, count):
    lesson = Lesson(TEACHER, gaussian(draws()), KL, steps)
    objective = lesson.objective(STUDENT, draws(1), fixed=0)
    terms = objective(torch.arange(6))
    assert lesson.queried == 6
    windows = gaussian(draws())(6)
    expected = slot_kl(
        STUDENT(windows).logits[:, -count:], TEACHER(windows).logits[:, -count:], temperature=2.0
    )
    torch.testing.assert_close(terms["total"], expected)
    objective(torch.arange(6))
    assert lesson.queried == 12


def test_fixed_windows_are_made_once_and_new_ones_every_time():
    for fixed, queried in ((20, 20), (0, 8)):
        lesson = Lesson(TEACHER, gaussian(draws()), KL, "last")
        objective = lesson.objective(STUDENT, draws(1), fixed=fixed)
        one, again = (objective(torch.arange(4))["total"].item() for _ in range(2))
        assert lesson.queried == queried
        assert (one == again) == bool(fixed)


def test_held_out_windows_are_none_of_those_that_are_learnt_from():
    lesson = Lesson(TEACHER, gaussian(draws()), KL, "last")
    judge = lesson.judge(10)
    assert judge(STUDENT) == judge(STUDENT) > judge(TEACHER) == pytest.approx(0.0, abs=1e-6)
    # What is learnt from is drawn after them, and not once more from the start.
    learnt = lesson.objective(STUDENT, draws(1), fixed=0)(torch.arange(10))["total"].item()
    assert learnt != pytest.approx(judge(STUDENT), abs=1e-9)
