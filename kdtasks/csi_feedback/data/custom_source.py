"""A source of channels of the user's own: one function, one more value of ``scenario``."""

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.plugins import load_named, module_of
from kdtasks.contract.source_code import source_digest
from kdtasks.csi_feedback.data.channel_axes import AXES
from kdtasks.data.checks import check_finite, check_power

Source = Callable[..., NDArray[np.complex64]]
"""Called as ``source(num_users=, num_antennas=, num_subcarriers=, seed=)``; returns complex
channels, shape [users, antennas, subcarriers], neighbours beside each other."""


@lru_cache(maxsize=64)
def own_source(name: str, scenarios: tuple[str, ...]) -> Source:
    """Return a source of the user's own.

    Args:
        name: As the study names it.
        scenarios: Names of the project's own, for the error.

    Raises:
        ConfigError: If there is no such function.
    """
    source = load_named("scenario", name, scenarios)
    if not callable(source):
        raise ConfigError(f"scenario={name!r} is of type {type(source).__name__}, not a function")
    found: Source = source
    return found


def identity_of(name: str) -> str:
    """Return what channels of a source depend on beside their numbers: its code."""
    return source_digest(module_of("scenario", name))


def draw_channels(
    name: str, scenarios: Iterable[str], *, shape: tuple[int, int, int], seed: int
) -> NDArray[np.complex64]:
    """Return channels of a source of the user's own.

    Args:
        name: As the study names it.
        scenarios: Names of the project's own, for the error.
        shape: Users, antennas, subcarriers.
        seed: Of the data.

    Raises:
        DataError: If it raises, or what it returns are no such channels.
    """
    sizes = dict(zip(("num_users", "num_antennas", "num_subcarriers"), shape, strict=True))
    try:
        channels = np.asarray(own_source(name, tuple(scenarios))(**sizes, seed=seed))
    except Exception as error:
        raise DataError(f"scenario {name!r} raised {type(error).__name__}: {error}") from error
    if channels.shape != shape or channels.dtype.kind != "c":
        raise DataError(
            f"scenario {name!r} returned {channels.dtype} of shape {list(channels.shape)}; it must "
            f"return complex numbers of shape {list(shape)}: users, antennas, subcarriers"
        )
    check_finite(channels, where=f"scenario {name!r}", axes=AXES)
    check_power(channels, where=f"scenario {name!r}")
    return channels.astype(np.complex64)
