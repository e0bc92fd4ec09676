"""A training on torch's device ``meta``, where tensors have shapes and no values.

Whatever meets a tensor of the CPU there fails, and so does a step of training that waits for a
value. Between steps values are read: they are all 1.
"""

from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode

from kdtasks.learning import device, training

T = torch.Tensor
READ = {
    T.item: lambda t: 1,
    T.__int__: lambda t: 1,
    T.__index__: lambda t: 1,
    T.__float__: lambda t: 1.0,
    T.__bool__: lambda t: False,
    T.tolist: lambda t: ones(t).tolist(),
    T.numpy: lambda t: ones(t).numpy(),
    T.cpu: lambda t: ones(t),
}


def ones(tensor):
    return torch.ones(tensor.shape, dtype=tensor.dtype, device="cpu")


class Reading(TorchFunctionMode):
    """Gives values where there are none, but not within a step."""

    stepping = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if args and isinstance(args[0], T) and args[0].is_meta:
            to_host = func is T.to and "cpu" in map(str, (*args[1:], *kwargs.values()))
            if func in READ or to_host:
                assert not self.stepping, f"a step waits for the device: {func.__name__}"
                return ones(args[0]) if to_host else READ[func](args[0])
        return func(*args, **kwargs)


def _one_turn(*limits):
    """Take one step of one epoch; splits are still judged whole."""
    return range(*limits) if len(limits) == 3 else range(*limits)[:1]


@contextmanager
def one_step():
    """Let an epoch of training have one step inside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "range", _one_turn, raising=False)
        yield patch


@contextmanager
def on_meta():
    """Have tensors on ``meta`` inside."""
    with one_step() as patch, device.using("meta"), Reading() as reading:

        @contextmanager
        def step():
            reading.stepping = True
            yield
            reading.stepping = False

        patch.setattr(device, "step", step)
        yield
