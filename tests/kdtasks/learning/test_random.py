import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdtasks.learning.random import initialised, numpy_generator, seed_for, torch_generator

SEEDS = st.integers(0, 2**63 - 1)
PURPOSES = st.text(max_size=8)


@given(SEEDS, PURPOSES)
def test_a_seed_fits_every_generator_and_is_repeatable(seed, purpose):
    derived = seed_for(seed, purpose)
    assert 0 <= derived < 2**63
    assert derived == seed_for(seed, purpose)


@given(SEEDS, SEEDS, PURPOSES, PURPOSES)
def test_other_seed_or_purpose_other_stream(seed, other_seed, purpose, other_purpose):
    same = (seed, purpose) == (other_seed, other_purpose)
    assert (seed_for(seed, purpose) == seed_for(other_seed, other_purpose)) is same


def test_streams_of_neighbouring_seeds_and_purposes_are_uncorrelated():
    keys = [(seed, purpose) for seed in range(8) for purpose in ("order", "encoder", "users")]
    draws = np.stack([numpy_generator(*key).normal(size=4000) for key in keys])
    correlation = np.corrcoef(draws) - np.eye(len(keys))
    # 276 pairs of 4,000 samples: the largest of them is below 4.5 standard deviations.
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)


def test_generators_are_repeatable():
    one, two = (numpy_generator(3, "x").normal(size=5) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    first, second = (torch.randperm(50, generator=torch_generator(3, "x")) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("fails", [False, True])
def test_the_global_generators_are_left_alone(fails):
    torch.manual_seed(5)
    expected = torch.rand(3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002  # this is what must not change
    torch.manual_seed(5)
    torch_generator(1, "a")
    numpy_generator(1, "a").normal(size=10)

    def make():
        network = nn.Linear(4, 4)
        if fails:
            raise ArithmeticError
        return network

    try:
        initialised(1, "a", make)
    except ArithmeticError:
        assert fails
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def weights(seed, purpose):
    return initialised(seed, purpose, lambda: nn.Linear(4, 4)).weight


def test_initial_weights_follow_from_seed_and_purpose_alone():
    torch.manual_seed(0)
    first = weights(1, "encoder")
    torch.manual_seed(99)
    assert torch.equal(weights(1, "encoder"), first)
    assert not torch.equal(weights(2, "encoder"), first)
    assert not torch.equal(weights(1, "decoder"), first)
