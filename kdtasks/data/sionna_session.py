"""Sionna as a guest of the process: on one thread, from one seed, and gone without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def sionna_seeded(seed: int) -> Iterator[None]:
    """Run Sionna on the CPU, on one thread and from one seed, and put back what it changes.

    Args:
        seed: Of everything that Sionna draws meanwhile.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        # Importing it takes seconds and, like seeding it, reseeds torch's default generators.
        from sionna.phy import config as shared

        before = shared.seed, shared.device
        stream = shared.torch_rng("cpu").get_state()
        # More threads only spin here (measured: 2 threads took 4 times the CPU time of 1).
        torch.set_num_threads(1)
        shared.device, shared.seed = "cpu", seed
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            shared.seed, shared.device = before
            shared.torch_rng("cpu").set_state(stream)
