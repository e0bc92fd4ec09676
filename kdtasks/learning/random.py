"""Randomness is passed, never taken: every purpose of a trial gets its own generator.

torch, which takes seconds to import, is imported only by functions that need it: the
process that conducts a trial must be up before it can start those that train.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

M = TypeVar("M", bound="nn.Module")


def seed_for(seed: int, purpose: str) -> int:
    """Return a 63-bit seed for one purpose; different purposes give independent streams."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a NumPy generator for one purpose of a trial."""
    return np.random.default_rng(seed_for(seed, purpose))


def torch_generator(seed: int, purpose: str) -> "torch.Generator":
    """Return a CPU torch generator for one purpose of a trial."""
    import torch

    return torch.Generator().manual_seed(seed_for(seed, purpose))


def initialised(seed: int, purpose: str, make: Callable[[], M]) -> M:
    """Build a network whose initial weights follow from the seed alone, on the device.

    torch's layers draw their weights from the global generator only; it is put back afterwards.
    """
    import torch

    from kdtasks.learning.device import on_host, to_device

    with torch.random.fork_rng(devices=[]), on_host():
        # of the host alone: torch.manual_seed also writes down a traceback for every other device
        torch.default_generator.manual_seed(seed_for(seed, purpose))
        made = make()
    return to_device(made)


@contextmanager
def drawing_from(generator: "torch.Generator") -> Iterator[None]:
    """Let what knows no generator, such as dropout, draw from one of the caller's.

    torch's global generator is put back afterwards, and the caller's has moved on.
    """
    import torch

    from kdtasks.learning.device import seed_kernels

    seed_kernels(generator)
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.get_rng_state())
        torch.set_rng_state(before)
