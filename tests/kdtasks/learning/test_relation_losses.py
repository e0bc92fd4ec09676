from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from kdtasks.learning.losses import draw_pairs, relation_loss

SEEDS = st.integers(0, 2**32 - 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def features(seed, samples=6, student=8, teacher=5):
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.normal(size=(samples, student))),
        torch.from_numpy(rng.normal(size=(samples, teacher))),
    )


def pairs(seed, samples=6, partners=3):
    return draw_pairs(samples, partners=partners, generator=generator(seed))


def loss(student, teacher, chosen, distance=1.0, angle=1.0):
    return relation_loss(student, teacher, chosen, distance_weight=distance, angle_weight=angle)


def relations(values, chosen):
    distances = [np.sqrt(((values[i] - values[j]) ** 2).sum()) for i, j in chosen]
    angles = []
    for i, j in chosen:
        norms = np.sqrt((values[i] ** 2).sum()) * np.sqrt((values[j] ** 2).sum())
        angles.append(1.0 - (values[i] * values[j]).sum() / norms)
    return np.array(distances) / np.mean(distances), np.array(angles)


@given(SEEDS, st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_the_relations_written_out(seed, distance, angle):
    student, teacher = features(seed)
    chosen = pairs(seed)
    ours = relations(student.numpy(), chosen.tolist())
    theirs = relations(teacher.numpy(), chosen.tolist())
    squares = [np.mean((a - b) ** 2) for a, b in zip(ours, theirs, strict=True)]
    expected = distance * squares[0] + angle * squares[1]
    assert float(loss(student, teacher, chosen, distance, angle)) == pytest.approx(expected)


@given(SEEDS, st.floats(0.01, 100.0))
def test_scale_rotation_and_width_are_no_relations(seed, scale):
    student, _ = features(seed)
    chosen = pairs(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(11, 11)))[0]
    turned = scale * F.pad(student, (0, 3)) @ torch.from_numpy(turn)
    assert float(loss(student, turned, chosen)) == pytest.approx(0.0, abs=1e-12)


@given(SEEDS)
def test_a_shift_keeps_distances_and_changes_angles(seed):
    student, _ = features(seed)
    shifted, chosen = student + 3.0, pairs(seed)
    assert float(loss(student, shifted, chosen, angle=0.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(loss(student, shifted, chosen, distance=0.0)) > 0.0


def test_the_gradient_goes_through_the_mean_distance():
    # A loss that does not see the scale has no slope along it; with the mean held fixed it would.
    student, teacher = features(3)
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(student, teacher, pairs(3)), student)
    assert gradient.abs().max() > 1e-3
    assert float((gradient * student.detach()).sum()) == pytest.approx(0.0, abs=1e-9)


def test_no_gradient_reaches_the_teacher():
    student, teacher = features(4)
    teacher.requires_grad_()
    loss(student.requires_grad_(), teacher, pairs(4)).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_samples_in_one_place_give_finite_gradients(dtype, value):
    student = torch.full((6, 8), value, dtype=dtype, requires_grad=True)
    teacher = features(5)[1].to(dtype)
    value = loss(student, teacher, pairs(5))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


def test_without_pairs_there_is_nothing_to_learn():
    student, teacher = features(6, samples=1)
    chosen = pairs(6, samples=1)
    assert chosen.shape == (0, 2)
    value = loss(student.requires_grad_(), teacher, chosen)
    value.backward()
    assert float(value.detach()) == 0.0
    assert student.grad.abs().max() == 0.0


def test_other_numbers_of_samples_are_refused():
    student, teacher = features(7)
    with pytest.raises(ValueError, match="6 samples of the student, 5"):
        loss(student, teacher[:5], pairs(7))


@given(SEEDS, st.integers(1, 12), st.integers(1, 8))
def test_every_anchor_gets_different_partners_as_many_as_there_are(seed, samples, partners):
    chosen = pairs(seed, samples, partners).tolist()
    assert len({tuple(pair) for pair in chosen}) == len(chosen)
    assert all(anchor != partner for anchor, partner in chosen)
    counts = Counter(anchor for anchor, _ in chosen)
    wanted = min(partners, samples - 1)
    assert all(counts[anchor] == wanted for anchor in range(samples))


@given(SEEDS, st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 5))
def test_partners_can_be_of_other_passages_only(seed, passages, partners):
    passage = torch.tensor(passages)
    chosen = draw_pairs(
        len(passages), partners=partners, generator=generator(seed), passage_B=passage
    )
    assert (passage[chosen[:, 0]] != passage[chosen[:, 1]]).all()
    counts = Counter(chosen[:, 0].tolist())
    for anchor, own in enumerate(passages):
        others = sum(passage != own for passage in passages)
        assert counts[anchor] == min(partners, others)


def test_the_draw_follows_from_the_generator():
    assert torch.equal(pairs(1, 20), pairs(1, 20))
    assert not torch.equal(pairs(1, 20), pairs(2, 20))


def test_all_partners_are_equally_likely():
    source = generator(8)
    draws = 2000
    seen = Counter()
    for _ in range(draws):
        seen.update(map(tuple, draw_pairs(4, partners=1, generator=source).tolist()))
    # Each anchor has three partners: a binomial share of 1/3, within five deviations.
    slack = 5.0 * np.sqrt(draws * (1 / 3) * (2 / 3))
    assert seen.keys() == set(permutations(range(4), 2))
    assert all(abs(count - draws / 3) < slack for count in seen.values())


def test_no_partner_at_all_is_refused():
    with pytest.raises(ValueError, match="needs a partner"):
        pairs(1, 4, 0)
