"""Laws of domains."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import choices, domains, finite_domains, ints, values

from search_spaces.domains import MAX_LISTED, Choice, Float, Int, place_of, same, value_at

seeds = st.integers(0, 2**32 - 1)


@given(domains, seeds)
def test_domain_contains_its_samples(domain, seed):
    rng = np.random.default_rng(seed)
    assert all(domain.contains(domain.sample(rng)) for _ in range(20))


@given(domains, seeds)
def test_domain_samples_follow_the_seed(domain, seed):
    drawn = [domain.sample(np.random.default_rng(seed)) for _ in range(2)]
    assert same(*drawn)


@given(finite_domains)
def test_domain_contains_each_listed_value(domain):
    listed = domain.values()
    assert len(listed) == domain.size() == len(set(listed))
    assert all(domain.contains(value) for value in listed)


@given(finite_domains, values)
def test_domain_lists_each_contained_value(domain, value):
    assert domain.contains(value) == any(same(value, listed) for listed in domain.values())


@given(ints())
def test_int_range_contains_its_bounds(domain):
    assert domain.contains(domain.low)
    assert domain.contains(domain.high)
    assert not domain.contains(domain.low - domain.step)
    assert not domain.contains(domain.high + domain.step)


@given(finite_domains)
def test_domain_samples_every_value(domain):
    rng = np.random.default_rng(0)
    drawn = {domain.sample(rng) for _ in range(400)}
    assert drawn == set(domain.values())


@given(choices)
def test_choice_samples_keep_their_type(choice):
    drawn = choice.sample(np.random.default_rng(0))
    assert any(drawn is option for option in choice.options)


@pytest.mark.parametrize("other", [16.0, True, "16", 16.5])
def test_domain_distinguishes_types_of_values(other):
    assert Choice((16,)).contains(16)
    assert not Choice((16,)).contains(other)
    assert not Int(1, 32).contains(other)


def test_float_range_contains_integers_but_no_booleans():
    assert Float(0.0, 2.0).contains(1)
    assert not Float(0.0, 2.0).contains(True)
    assert not Float(0.0, 2.0).contains(math.nan)


def test_log_scale_samples_decades_uniformly():
    rng = np.random.default_rng(0)
    for domain in (Float(1.0, 1e4, log=True), Int(1, 10_000, log=True)):
        decades = [math.floor(min(math.log10(domain.sample(rng)), 3.9)) for _ in range(4000)]
        shares = np.bincount(decades, minlength=4) / 4000
        # The first decade of the integers is wider, by the half step below 1.
        np.testing.assert_allclose(shares, 0.25, atol=0.07)


def test_log_scale_integers_sample_their_bounds():
    rng = np.random.default_rng(0)
    drawn = np.array([Int(1, 3, log=True).sample(rng) for _ in range(6000)])
    expected = np.diff(np.log([0.5, 1.5, 2.5, 3.5])) / math.log(7)
    np.testing.assert_allclose(np.bincount(drawn)[1:] / 6000, expected, atol=0.03)


def test_huge_int_range_is_sampled_but_not_listed():
    huge = Int(0, MAX_LISTED)
    assert huge.values() is None
    assert huge.size() is None
    assert huge.contains(huge.sample(np.random.default_rng(0)))
    assert Int(1, MAX_LISTED).size() == MAX_LISTED


@given(st.floats(0.0, 1.0), st.floats(1e-6, 1.0), st.floats(1.5, 1e6), st.booleans())
def test_a_place_in_a_range_and_its_number_are_inverses(place, low, ratio, log):
    domain = Float(low, low * ratio, log=log)
    found = value_at(domain, place)
    assert domain.contains(found)
    assert place_of(domain, found) == pytest.approx(place, abs=1e-6)
