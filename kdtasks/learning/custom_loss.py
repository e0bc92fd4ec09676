"""A distillation loss of the user's own: one function, which becomes one more value of ``method``.

It is called as ``loss(student, teacher)`` with the outputs of both for the same batch (pictures in
CSI feedback, logits in beam tracking) and returns one number, which is blended with the task's own
loss by ``alpha``.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import load_named
from kdtasks.learning.device import on_host

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs of student and teacher, returns a scalar."""


@lru_cache(maxsize=64)
def named_loss(name: str, methods: tuple[str, ...]) -> Any:
    """Import what a study names as a loss of the user's own.

    Args:
        name: As the study names it.
        methods: Names of the task's own methods, for the error.

    Raises:
        ConfigError: If there is no such name, or it cannot be imported.
    """
    return load_named("method", name, methods)


@lru_cache(maxsize=64)
def own_loss(name: str, shape: tuple[int, ...], methods: tuple[str, ...]) -> Loss:
    """Return a loss of the user's own, tried on made-up outputs.

    Args:
        name: As the study names it.
        shape: Of a batch of outputs of the task.
        methods: Names of the task's own methods, for the error.

    Raises:
        ConfigError: If there is no such loss, or it cannot be trained by.
    """
    loss = named_loss(name, methods)
    with on_host():
        broken = broken_loss(loss, shape)
    if broken:
        raise ConfigError(f"loss {name!r}: {broken}")
    checked: Loss = loss
    return checked


def broken_loss(loss: Any, shape: tuple[int, ...]) -> str:
    """Return why nothing can be trained by a loss; empty if it can be.

    Args:
        loss: What should be one.
        shape: Of a batch of outputs; they are drawn from [0, 1).
    """
    if not callable(loss):
        return f"is of type {type(loss).__name__}, not a function of (student, teacher)"
    draw = torch.Generator().manual_seed(0)
    student, teacher = torch.rand((2, *shape), generator=draw)
    student.requires_grad_()
    try:
        value = loss(student, teacher)
    except Exception as error:  # noqa: BLE001 - whatever a function of the user's own raises
        return (
            f"loss(student, teacher) of tensors of shape {list(shape)} raised "
            f"{type(error).__name__}: {error}"
        )
    if not isinstance(value, Tensor) or value.shape != ():
        shown = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        return f"returns {shown}, not one number as a tensor; end with .mean()"
    if not value.requires_grad:
        return "no gradient reaches the student; compute with torch alone, without item or detach"
    (slope,) = torch.autograd.grad(value, student, allow_unused=True)
    if slope is None or not slope.any():
        return "no gradient reaches the student; the loss must depend on it"
    if not (value.isfinite() and slope.isfinite().all()):
        return "the loss or its gradient is not finite; keep logarithms and roots away from 0"
    return ""
