"""An encoder of the user's own: one ``nn.Module``, which becomes one more value of ``encoder``."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import load_named
from kdtasks.learning.complexity import count

MakeEncoder = Callable[[int, int, int], nn.Module]
"""Takes antennas, subcarriers and the length of a codeword; makes a network that maps pictures,
shape [B, 2, antennas, subcarriers], to codewords, shape [B, length]."""


@lru_cache(maxsize=64)
def own_encoder(name: str, sizes: tuple[int, int, int], encoders: tuple[str, ...]) -> MakeEncoder:
    """Return what makes an encoder of the user's own, tried once.

    Args:
        name: As the study names it.
        sizes: Antennas, subcarriers, length of a codeword.
        encoders: Names of the project's own, for the error.

    Raises:
        ConfigError: If there is no such encoder, or it does not give codewords, or its
            operations cannot be counted.
    """
    make: MakeEncoder = load_named("encoder", name, encoders)
    antennas, subcarriers, length = sizes
    shape = (2, 2, antennas, subcarriers)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network = make(antennas, subcarriers, length).eval()
            codewords = network(torch.zeros(shape))
            count(network, shape[1:])
    except Exception as error:
        raise ConfigError(
            f"encoder={name!r} with {antennas} antennas, {subcarriers} subcarriers and codewords "
            f"of {length} numbers raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(codewords, Tensor) or codewords.shape != (2, length):
        shown = (
            f"shape {list(codewords.shape)}"
            if isinstance(codewords, Tensor)
            else type(codewords).__name__
        )
        raise ConfigError(
            f"encoder={name!r} turns pictures of shape {list(shape)} into {shown}; codewords have "
            f"shape [2, {length}]"
        )
    return make
