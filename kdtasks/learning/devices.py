"""Accelerators of this machine."""

import torch


def count_gpus() -> int:
    """Return how many GPUs torch can use in this process."""
    return torch.cuda.device_count()


def built_for_gpus() -> bool:
    """Return whether this torch could use a GPU at all."""
    return torch.version.cuda is not None or torch.version.hip is not None
