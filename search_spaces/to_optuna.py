"""The only door to Optuna in this package: spaces as Optuna sees them."""

from typing import cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from search_spaces.domains import Choice, Domain, Float, Value
from search_spaces.space import Space


def distribution(domain: Domain) -> BaseDistribution:
    """Return the distribution of Optuna that draws from ``domain``."""
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the distribution of every parameter, whether it always exists or not."""
    return {name: distribution(space.parameters[name].domain) for name in space.names}


def suggest(trial: BaseTrial, space: Space) -> dict[str, Value]:
    """Ask ``trial`` for every parameter that exists, conditions before what depends on them.

    Returns:
        A configuration that passes ``space.check``.
    """
    suggested: dict[str, Value] = {}
    for name in space.names:
        if space.active(name, suggested):
            suggested[name] = _suggest(trial, name, space.parameters[name].domain)
    return suggested


def _suggest(trial: BaseTrial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Float):
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return cast("Value", trial.suggest_categorical(name, domain.options))
    return trial.suggest_int(name, domain.low, domain.high, log=domain.log, step=domain.step)
