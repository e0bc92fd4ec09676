"""Accelerators of this machine."""

import torch


def count_gpus() -> int:
    """Return how many GPUs torch can use in this process."""
    return torch.cuda.device_count()
