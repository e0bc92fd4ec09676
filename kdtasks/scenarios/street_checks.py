"""Rules that the configurations of the street twin share; every refusal names its field."""

import math
from typing import Any

from kdtasks.errors import ConfigError


def refuse(config: object, name: str, rule: str) -> None:
    """Raise the error that names a field, its rule and its value.

    Raises:
        ConfigError: Always.
    """
    value = getattr(config, name)
    raise ConfigError(f"{type(config).__name__}: {name} must be {rule}, got {name}={value!r}")


def _numbers(config: object, name: str) -> list[float]:
    value: Any = getattr(config, name)
    return list(value) if isinstance(value, tuple) else [value]


def positive(config: object, *names: str) -> None:
    """Refuse fields, numbers or tuples of numbers, that are not finite and above 0.

    Raises:
        ConfigError: Naming the field.
    """
    for name in names:
        if not all(math.isfinite(number) and number > 0.0 for number in _numbers(config, name)):
            refuse(config, name, "> 0 and finite")


def not_negative(config: object, *names: str) -> None:
    """Refuse fields, numbers or tuples of numbers, that are not finite and at least 0.

    Raises:
        ConfigError: Naming the field.
    """
    for name in names:
        if not all(math.isfinite(number) and number >= 0.0 for number in _numbers(config, name)):
            refuse(config, name, ">= 0 and finite")


def shares(config: object, *names: str) -> None:
    """Refuse fields that are not in [0, 1].

    Raises:
        ConfigError: Naming the field.
    """
    for name in names:
        if not all(0.0 <= number <= 1.0 for number in _numbers(config, name)):
            refuse(config, name, "in [0, 1]")


def ranges(config: object, *names: str) -> None:
    """Refuse fields that are not a lowest and a highest value, in this order, both >= 0.

    Raises:
        ConfigError: Naming the field.
    """
    not_negative(config, *names)
    for name in names:
        value = getattr(config, name)
        if not (len(value) == 2 and value[0] <= value[1]):
            refuse(config, name, "(lowest, highest)")
