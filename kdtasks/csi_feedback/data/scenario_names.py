"""Options in the name of a scenario: ``NAME?option=value&...``."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from kdtasks.contract.errors import ConfigError


def read_options(scenario: str, query: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Return what stands behind the question mark; numbers are above 0.

    Args:
        scenario: The whole name, for errors.
        query: The part of it behind the question mark.
        types: Types of all options, by name.

    Raises:
        ConfigError: If an option is unknown, or its value is not of its type.
    """
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in types:
            raise ConfigError(
                f"scenario={scenario!r}: no option {name!r}; known: {', '.join(types)}"
            )
        if types[name] is str:
            found[name] = text
            continue
        (number,) = read_numbers(scenario, text, 1)
        if number <= 0.0 or (types[name] is int and number % 1):
            kind = "a whole number" if types[name] is int else "a number"
            raise ConfigError(f"scenario={scenario!r}: {name}={text!r} must be {kind} above 0")
        found[name] = types[name](number)
    return found


def read_numbers(scenario: str, text: str, count: int) -> tuple[Any, ...]:
    """Return finite numbers, separated by commas.

    Raises:
        ConfigError: If there are others, or not as many.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count or not np.isfinite(found).all():
        want = "x,y,z in metres" if count > 1 else "a number"
        raise ConfigError(f"scenario={scenario!r}: {text!r} must be {want}")
    return found
