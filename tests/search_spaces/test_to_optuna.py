"""Optuna draws from the same space as we do."""

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_strategies import spaces

from search_spaces.domains import Choice, Float, Int, same
from search_spaces.space import Parameter, Space
from search_spaces.to_optuna import suggest

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    optuna.logging.disable_default_handler()
    yield
    optuna.logging.enable_default_handler()


def typed(params):
    return [(name, type(value), value) for name, value in params.items()]


@given(spaces(), seeds)
@settings(max_examples=50)
def test_suggestions_pass_the_check(space, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for _ in range(3):
        params = suggest(study.ask(), space)
        space.check(params)
        assert list(params) == [name for name in space.names if name in params]


@given(spaces(), seeds)
def test_fixed_trials_give_back_what_was_fixed(space, seed):
    params = space.sample(np.random.default_rng(seed))
    assert typed(suggest(optuna.trial.FixedTrial(params), space)) == typed(params)


@given(spaces(), seeds)
@settings(max_examples=50)
def test_enqueued_configurations_come_back_with_their_types(space, seed):
    params = space.sample(np.random.default_rng(seed))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    study.enqueue_trial(params)
    assert typed(suggest(study.ask(), space)) == typed(params)


@given(spaces())
def test_distributions_are_as_wide_as_domains(space):
    trial = optuna.create_study().ask()
    assert tuple(suggest(trial, space)) == tuple(trial.distributions)
    for name, distribution in trial.distributions.items():
        domain = space.parameters[name].domain
        if isinstance(domain, Choice):
            assert distribution.choices == domain.options
        else:
            assert (distribution.low, distribution.high) == (domain.low, domain.high)
            assert distribution.log == domain.log
        if isinstance(domain, Int):
            assert distribution.step == domain.step


def test_absent_parameters_are_not_asked_for():
    space = Space(
        {
            "temperature": Parameter(Float(1.0, 20.0, log=True), {"method": ("kd",)}),
            "method": Parameter(Choice(("vanilla", "kd"))),
            "width": Parameter(Int(2, 8, step=2)),
        }
    )
    known = optuna.distributions.CategoricalDistribution(("vanilla", "kd"))
    trial = optuna.create_study().ask({"method": known})
    fixed = {"method": "vanilla", "width": 4, "temperature": 3.0}
    suggested = suggest(optuna.trial.FixedTrial(fixed), space)
    assert suggested == {"method": "vanilla", "width": 4}
    assert same(suggest(trial, space)["method"], trial.params["method"])
