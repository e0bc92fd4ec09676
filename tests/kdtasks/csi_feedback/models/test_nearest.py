import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.csi_feedback.models import nearest
from kdtasks.csi_feedback.models.nearest import copied, nearest_reconstruction
from kdtasks.learning.metrics import relative_errors


def pictures(seed, count, shape=(3, 4)):
    drawn = np.random.default_rng(seed).normal(size=(count, 2, *shape))
    return (0.5 + 0.1 * drawn).astype(np.float32)


def errors(target, output):
    return relative_errors(torch.from_numpy(target), torch.from_numpy(output)).numpy()


@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=times(30))
def test_no_training_picture_and_gain_come_nearer(seed, known, part):
    train, target = pictures(seed, known), pictures(seed + 1000, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "TRAINING_PART", part)
        found = errors(target, nearest_reconstruction(train, target))
    # Second implementation: least squares of each user on each training user.
    for user, error in zip(target - 0.5, found, strict=True):
        wanted = (user[0] + 1j * user[1]).ravel().astype(complex)
        left = []
        for one in train - 0.5:
            column = (one[0] + 1j * one[1]).reshape(-1, 1).astype(complex)
            gain = np.linalg.lstsq(column, wanted, rcond=None)[0]
            left.append(np.square(np.abs(wanted - (column @ gain))).sum())
        assert error == pytest.approx(min(left) / np.square(np.abs(wanted)).sum(), abs=1e-4)


@given(st.floats(0.1, 10.0), st.floats(-3.0, 3.0))
@settings(max_examples=times(20))
def test_what_was_seen_comes_back_whatever_its_gain(size, phase):
    train = pictures(3, 6)
    matrices = (train[:, 0] - 0.5 + 1j * (train[:, 1] - 0.5)) * size * np.exp(1j * phase)
    target = (0.5 + np.stack([matrices.real, matrices.imag], axis=1)).astype(np.float32)
    assert errors(target, nearest_reconstruction(train, target)).max() < 1e-4


def test_the_channel_that_is_chosen_is_no_worse_than_that_of_any_neighbour():
    train, target = pictures(5, 9), pictures(6, 9)
    best = errors(target, nearest_reconstruction(train, target))
    every = [
        errors(target, copied(np.roll(train, shift, axis=0), target)) for shift in range(len(train))
    ]
    np.testing.assert_allclose(np.min(every, axis=0), best, atol=1e-4)
    assert max(error.max() for error in every) <= 1.0 + 1e-5
