"""Laws of domains."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import choices, domains, finite_domains, ints, values

from search_spaces.domains import MAX_LISTED, Choice, Float, Int, same
from search_spaces.errors import StudyError

seeds = st.integers(0, 2**32 - 1)


@given(domains, seeds)
def test_samples_lie_in_the_domain(domain, seed):
    rng = np.random.default_rng(seed)
    assert all(domain.contains(domain.sample(rng)) for _ in range(20))


@given(domains, seeds)
def test_same_generator_same_samples(domain, seed):
    drawn = [domain.sample(np.random.default_rng(seed)) for _ in range(2)]
    assert same(*drawn)


@given(finite_domains)
def test_values_are_all_that_is_contained(domain):
    listed = domain.values()
    assert len(listed) == domain.size() == len(set(listed))
    assert all(domain.contains(value) for value in listed)


@given(finite_domains, values)
def test_what_is_contained_is_listed(domain, value):
    assert domain.contains(value) == any(same(value, listed) for listed in domain.values())


@given(ints())
def test_ends_belong_to_the_range(domain):
    assert domain.contains(domain.low)
    assert domain.contains(domain.high)
    assert not domain.contains(domain.low - domain.step)
    assert not domain.contains(domain.high + domain.step)


@given(finite_domains)
def test_every_value_is_drawn(domain):
    rng = np.random.default_rng(0)
    drawn = {domain.sample(rng) for _ in range(400)}
    assert drawn == set(domain.values())


@given(choices)
def test_choices_are_drawn_with_their_type(choice):
    drawn = choice.sample(np.random.default_rng(0))
    assert any(drawn is option for option in choice.options)


@pytest.mark.parametrize("other", [16.0, True, "16", 16.5])
def test_types_are_part_of_a_value(other):
    assert Choice((16,)).contains(16)
    assert not Choice((16,)).contains(other)
    assert not Int(1, 32).contains(other)


def test_a_real_range_contains_whole_numbers_but_no_booleans():
    assert Float(0.0, 2.0).contains(1)
    assert not Float(0.0, 2.0).contains(True)
    assert not Float(0.0, 2.0).contains(math.nan)


def test_log_draws_each_decade_alike():
    rng = np.random.default_rng(0)
    for domain in (Float(1.0, 1e4, log=True), Int(1, 10_000, log=True)):
        decades = [math.floor(min(math.log10(domain.sample(rng)), 3.9)) for _ in range(4000)]
        shares = np.bincount(decades, minlength=4) / 4000
        # The first decade of the integers is wider, by the half step below 1.
        np.testing.assert_allclose(shares, 0.25, atol=0.07)


def test_log_integers_keep_the_ends():
    rng = np.random.default_rng(0)
    drawn = np.array([Int(1, 3, log=True).sample(rng) for _ in range(6000)])
    expected = np.diff(np.log([0.5, 1.5, 2.5, 3.5])) / math.log(7)
    np.testing.assert_allclose(np.bincount(drawn)[1:] / 6000, expected, atol=0.03)


def test_a_huge_range_can_be_drawn_from_but_not_listed():
    huge = Int(0, MAX_LISTED)
    assert huge.values() is None
    assert huge.size() is None
    assert huge.contains(huge.sample(np.random.default_rng(0)))
    assert Int(1, MAX_LISTED).size() == MAX_LISTED


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: Float(1.0, 1.0), "low"),
        (lambda: Float(2.0, 1.0), "low"),
        (lambda: Float(0.0, 1.0, log=True), "low"),
        (lambda: Float(-1.0, math.inf), "high"),
        (lambda: Float(math.nan, 1.0), "low"),
        (lambda: Float(-1.7e308, 1.7e308), "high"),
        (lambda: Int(3, 3), "low"),
        (lambda: Int(0, 8, log=True), "low"),
        (lambda: Int(2, 9, step=2), "step"),
        (lambda: Int(2, 9, step=0), "step"),
        (lambda: Int(2, 8, step=2, log=True), "step"),
        (lambda: Int(0, 10**400), ""),
        (lambda: Choice(()), "values"),
        (lambda: Choice(("a", "b", "a")), "values.2"),
        (lambda: Choice((16, 16.0)), "values.1"),
        (lambda: Choice((1, True)), "values.1"),
        (lambda: Choice(("off", True)), "values"),
        (lambda: Choice((math.inf,)), "values.0"),
        (lambda: Choice((None,)), "values.0"),
    ],
)
def test_impossible_domains_are_refused(make, place):
    with pytest.raises(StudyError) as caught:
        make()
    assert caught.value.place == place


def test_a_step_that_does_not_fit_comes_with_one_bound_that_does():
    with pytest.raises(StudyError, match="high = 8 would fit"):
        Int(2, 9, step=2)
