"""Optuna draws from the same space as we do."""

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_strategies import spaces
from tried import times

from search_spaces.domains import Choice, Float, Int, same
from search_spaces.space import Space
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
@settings(max_examples=times(50))
def test_optuna_suggestions_are_valid(space, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for _ in range(3):
        params = suggest(study.ask(), space)
        space.check(params)
        assert list(params) == [name for name in space.names if name in params]


@given(spaces(), seeds)
def test_optuna_fixed_trials_return_their_parameters(space, seed):
    params = space.sample(np.random.default_rng(seed))
    assert typed(suggest(optuna.trial.FixedTrial(params), space)) == typed(params)


@given(spaces(), seeds)
@settings(max_examples=times(50))
def test_optuna_enqueued_trials_keep_types(space, seed):
    params = space.sample(np.random.default_rng(seed))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    study.enqueue_trial(params)
    assert typed(suggest(study.ask(), space)) == typed(params)


@given(spaces())
def test_optuna_distributions_match_domains(space):
    trial = optuna.create_study().ask()
    assert tuple(suggest(trial, space)) == tuple(trial.distributions)
    for name, distribution in trial.distributions.items():
        domain = space.parameters[name]
        if isinstance(domain, Choice):
            assert distribution.choices == domain.options
        else:
            assert (distribution.low, distribution.high) == (domain.low, domain.high)
            assert distribution.log == domain.log
        if isinstance(domain, Int):
            assert distribution.step == domain.step


def test_inactive_parameters_are_not_suggested():
    space = Space(
        {
            "temperature": Float(1.0, 20.0, log=True, when={"method": ("kd",)}),
            "method": Choice(("vanilla", "kd")),
            "width": Int(2, 8, step=2),
        }
    )
    known = optuna.distributions.CategoricalDistribution(("vanilla", "kd"))
    trial = optuna.create_study().ask({"method": known})
    fixed = {"method": "vanilla", "width": 4, "temperature": 3.0}
    suggested = suggest(optuna.trial.FixedTrial(fixed), space)
    assert suggested == {"method": "vanilla", "width": 4}
    assert same(suggest(trial, space)["method"], trial.params["method"])
