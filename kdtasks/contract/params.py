"""Identity of configurations: equal settings have equal fingerprints, on every machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = bool | int | float | str
"""What one parameter may hold: a JSON scalar."""

Params = Mapping[str, Value]
"""The parameters of one trial, by name."""


def _number(value: int | float) -> int | float:
    # Whole numbers beyond 2**53 are not all floats, and two of them must not become one.
    try:
        as_float = float(value)
    except OverflowError:
        return value
    return as_float + 0.0 if as_float == value else value  # -0.0 becomes 0.0, which it equals


def _canonical(value: Any) -> Any:
    # 4 and 4.0 are one setting, so whole numbers are written as floats; True is not 1.0.
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no fingerprint")


def fingerprint(value: "Mapping[str, Any] | DataclassInstance") -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the canonical JSON of ``value``.

    Args:
        value: A dataclass instance or a mapping of JSON values.

    Raises:
        TypeError: If a value or the name of one is not JSON.
        ValueError: If a number is NaN or infinite.
    """
    plain = value if isinstance(value, Mapping) else asdict(value)
    text = json.dumps(_canonical(plain), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
