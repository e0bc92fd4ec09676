"""Rules that the configurations of the street twin share; every refusal names its field.

Boxes in the way: the one test of blockage that radio and radar of the street twin share.

Shape suffixes in this file: V = boxes, D = x, y, z.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError


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


Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def blocked(start_D: Float, end_D: Float, low_VD: Float, high_VD: Float) -> Bool:
    """Return whether the way between two points crosses any of the boxes.

    Args:
        start_D: Where it starts [m], shape [..., 3].
        end_D: Where it ends [m], shape [..., 3].
        low_VD: Lower corners [m], shape [..., V, 3], leading axes as above.
        high_VD: Upper corners [m], same shape.

    Returns:
        Shape [...].
    """
    way_D = (end_D - start_D)[..., None, :]
    way_D = np.where(np.abs(way_D) < 1e-12, 1e-12, way_D)  # what is shorter divides to infinity
    one_VD = (low_VD - start_D[..., None, :]) / way_D
    other_VD = (high_VD - start_D[..., None, :]) / way_D
    enter_V = np.minimum(one_VD, other_VD).max(axis=-1)
    leave_V = np.maximum(one_VD, other_VD).min(axis=-1)
    return np.asarray(((enter_V < leave_V) & (enter_V < 1.0) & (leave_V > 0.0)).any(axis=-1))
