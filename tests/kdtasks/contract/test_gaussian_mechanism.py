"""Noise and what it guarantees, against an accountant, an integral and what is drawn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.gaussian_mechanism import (
    Mechanism,
    clipping,
    delta_of,
    epsilon_of,
    sigma_for,
)
from kdtasks.csi_feedback.methods.synthetic_rehearsal import describe, describe_noisily
from kdtasks.lidar_beam.methods.metadata import noisy_final

# PLDAccountant of dp-accounting 0.6.0, value_discretization_interval 1e-4, GaussianDpEvent(sigma)
# composed `count` times; it rounds up. Made on 2026-11-30.
BY_ACCOUNTANT = [
    (0.7, 1, 1e-5, 6.652487892018983),
    (1.0, 1, 1e-5, 4.37717810002493),
    (2.0, 3, 1e-5, 3.7086349369651237),
    (5.0, 10, 1e-6, 2.921600590671766),
    (20.0, 1, 1e-3, 0.08401769343353668),
    (0.3, 2, 1e-5, 30.5062799936704),
]
SIGMAS = st.floats(0.05, 50.0)
COUNTS = st.integers(1, 100)
DELTAS = st.sampled_from([1e-3, 1e-5, 1e-9])


class Recorder(Mechanism):
    """Adds no noise, and remembers the sensitivities of what it would be added to."""

    def __init__(self, **settings):
        super().__init__(**settings)
        object.__setattr__(self, "sizes", [])

    def noise(self, shape, sensitivity, rng):
        self.sizes.append(sensitivity)
        return np.zeros(shape)


@pytest.mark.parametrize(("sigma", "count", "delta", "epsilon"), BY_ACCOUNTANT)
def test_epsilon_is_that_of_an_accountant(sigma, count, delta, epsilon):
    assert epsilon_of(sigma, count, delta) == pytest.approx(epsilon, rel=1e-3)


@pytest.mark.parametrize(("epsilon", "mu"), [(0.5, 1.0), (3.0, 1.0), (20.0, 4.0), (0.0, 0.2)])
def test_delta_is_the_integral_of_what_one_density_exceeds(epsilon, mu):
    x, step = np.linspace(-15.0, 25.0, 400_001, retstep=True)
    one, other = (np.exp(-np.square(x - m) / 2) / math.sqrt(2 * math.pi) for m in (mu, 0.0))
    integral = np.maximum(one - math.exp(epsilon) * other, 0.0).sum() * step
    assert delta_of(epsilon, mu) == pytest.approx(integral, rel=1e-5)


@given(SIGMAS, COUNTS, DELTAS)
def test_sigma_and_epsilon_are_inverse_and_hold_on_the_safe_side(sigma, count, delta):
    epsilon = epsilon_of(sigma, count, delta)
    assert delta_of(epsilon, math.sqrt(count) / sigma) <= delta
    if epsilon > 0.0:
        assert sigma_for(epsilon, count, delta) == pytest.approx(sigma, rel=1e-6)


@given(SIGMAS, COUNTS, DELTAS)
def test_more_noise_and_fewer_messages_promise_more(sigma, count, delta):
    here = epsilon_of(sigma, count, delta)
    assert epsilon_of(2.0 * sigma, count, delta) <= here <= epsilon_of(sigma, count + 1, delta)
    # so many messages are one with less noise
    assert epsilon_of(sigma / math.sqrt(count), 1, delta) == pytest.approx(here, abs=1e-9)


def test_noise_has_its_size_and_outputs_are_cut():
    rng = np.random.default_rng(0)
    outputs = {"y": rng.normal(size=(400, 8)).astype(np.float32)}
    mechanism = Mechanism(sigma=0.25, clip=2.0)
    found = mechanism.noisy_rows(outputs, 0.5, np.random.default_rng(1))["y"]
    moved = outputs["y"].astype(np.float64) - 0.5
    cut = moved * np.minimum(1.0, 2.0 / np.linalg.norm(moved, axis=1))[:, None]
    noise = found - 0.5 - cut
    assert found.dtype == np.float32
    assert noise.std() == pytest.approx(0.25 * 2 * 2.0 * 20.0, rel=0.05)
    assert abs(noise.mean()) < 3 * noise.std() / math.sqrt(noise.size)
    tiny = Mechanism(sigma=1e-12, clip=1e3).noisy_rows(outputs, 0.5, rng)["y"]
    np.testing.assert_allclose(tiny, outputs["y"], rtol=1e-6, atol=1e-6)


@given(st.integers(0, 1000), st.floats(0.2, 5.0))
def test_one_sample_moves_statistics_by_no_more_than_their_sensitivity(seed, clip):
    rng = np.random.default_rng(seed)
    codewords = rng.normal(size=(20, 3)) * rng.uniform(0.1, 10.0)
    others = codewords.copy()
    others[0] = -rng.normal(size=3) * rng.uniform(0.1, 10.0)
    recorder = Recorder(sigma=1.0, clip=clip)
    one, other = (describe_noisily(c, recorder, rng) for c in (codewords, others))

    def sent(found):
        mean = found["mean"].astype(np.float64)
        second = found["covariance"] + np.outer(mean, mean)
        return np.concatenate([mean, second.ravel() / clip])

    assert len({*recorder.sizes}) == 1
    assert np.linalg.norm(sent(one) - sent(other)) <= recorder.sizes[0] * (1 + 1e-5)


@given(st.integers(0, 1000), st.floats(0.2, 5.0))
def test_one_window_moves_metadata_by_no_more_than_their_sensitivity(seed, clip):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(20, 3)) * rng.uniform(0.1, 10.0)
    others = states.copy()
    others[0] = -rng.normal(size=3) * rng.uniform(0.1, 10.0)
    recorder = Recorder(sigma=1.0, clip=clip)
    one, other = (
        noisy_final(torch.from_numpy(s), recorder, rng).groups["final"] for s in (states, others)
    )

    def sent(found):
        mean, variance = (found[f"hidden.10.{name}"].numpy() for name in ("mean", "variance"))
        return np.concatenate([mean, (variance * 19 / 20 + mean**2) / clip])

    assert np.linalg.norm(sent(one) - sent(other)) <= recorder.sizes[0] * (1 + 1e-5)


def test_quiet_metadata_are_the_plain_ones():
    states = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 4)))
    quiet = Mechanism(sigma=1e-12, clip=100.0)
    found = noisy_final(states, quiet, np.random.default_rng(1)).groups["final"]
    np.testing.assert_allclose(found["hidden.10.mean"], states.mean(0), atol=1e-5)
    np.testing.assert_allclose(found["hidden.10.variance"], states.var(0), atol=1e-5)


def test_without_noise_and_cut_the_statistics_are_the_plain_ones():
    codewords = np.random.default_rng(0).normal(size=(50, 4))
    found = describe_noisily(
        codewords, Mechanism(sigma=1e-12, clip=100.0), np.random.default_rng(1)
    )
    for name, array in describe(codewords).items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)


@given(st.lists(st.floats(0.0, 1e6), min_size=1), st.floats(1e-3, 1e3))
def test_cut_vectors_have_at_most_the_norm(norms, limit):
    array = np.array(norms)
    cut = array * clipping(array, limit)
    assert (cut <= limit * (1 + 1e-12)).all()
    np.testing.assert_allclose(cut[array <= limit], array[array <= limit])
