"""Draws configurations of a space from Optuna; the only file here that imports it."""

from typing import cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from search_spaces.domains import Choice, Domain, Float
from search_spaces.fields import Value
from search_spaces.space import Space


def distribution(domain: Domain) -> BaseDistribution:
    """Return a domain in Optuna's terms."""
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def suggest(trial: BaseTrial, space: Space) -> dict[str, Value]:
    """Return a configuration from ``trial``, conditions before what depends on them."""
    suggested: dict[str, Value] = {}
    for name in space.names:
        if space.active(name, suggested):
            suggested[name] = _suggest(trial, name, space.parameters[name])
    return suggested


def _suggest(trial: BaseTrial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Float):
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return cast("Value", trial.suggest_categorical(name, domain.options))
    return trial.suggest_int(name, domain.low, domain.high, log=domain.log, step=domain.step)
