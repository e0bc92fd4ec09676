"""The benchmark of what metadata reveal: distances, traces of single windows, and inversion."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from benchmarks.metadata_leaks import inverted, nearest_m, single_statistics, traced
from kdtasks.lidar_beam.methods.imitation import hand_set
from kdtasks.lidar_beam.methods.metadata import Observed, summarised
from kdtasks.lidar_beam.models.student import LidarStudent
from sweeps.nodes.privacy.membership import auc


def windows(count, seed=0):
    return hand_set(torch.Generator().manual_seed(seed))(count)


@given(st.integers(0, 100))
@settings(max_examples=times(20))
def test_the_nearest_is_that_of_all_pairs(seed):
    one, known = windows(3, seed), windows(5, seed + 1)
    apart = (one[:, None] - known).square().mean((2, 3)).sqrt().min(1).values
    np.testing.assert_allclose(nearest_m(one, known), 10.0 * apart, rtol=1e-3, atol=1e-3)
    assert nearest_m(known[:2], known).max() == pytest.approx(0.0, abs=0.05)


def areas(count, seed=0):
    """Return how well means of so many samples of 200 numbers give them away."""
    rng = np.random.default_rng(seed)
    members, others, reference = (rng.normal(size=(n, 200)) for n in (count, 2000, 2000))
    released = members.mean(0)
    return auc(traced(members, released, reference), traced(others, released, reference))


def test_means_of_few_samples_trace_them_and_means_of_many_do_not():
    few, some, many = areas(20), areas(200), areas(20_000)
    assert few > 0.95
    assert few > some > many
    assert many == pytest.approx(0.5, abs=0.05)


def test_windows_move_towards_metadata_and_single_statistics_average_to_them():
    torch.manual_seed(0)
    teacher = LidarStudent(width=0.2, dropout=0.0).eval().requires_grad_(False)
    known = windows(120)
    metadata = summarised(Observed(known, teacher(known)))
    moved, course = inverted(windows(30, 1), teacher, metadata, steps=15)
    assert course[-1] < course[0]
    assert moved.min() >= 0.0
    mean = single_statistics(teacher, known).mean(0)
    first = metadata.groups["final"]["hidden.10.mean"]
    np.testing.assert_allclose(mean[: len(first)], first.numpy(), atol=1e-4)
