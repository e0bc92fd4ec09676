"""Between arrays, which processes share, and tensors, which networks take."""

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import TensorSpec
from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Arrays
from kdtasks.learning.device import data_to_device, to_array


def scaled(size: int, width: float) -> int:
    """Return a published size times the width factor, rounded, at least 1.

    Raises:
        ValueError: If the factor is not positive.
    """
    if width <= 0.0:
        raise ValueError(f"width must be > 0, got {width=}")
    return max(1, int(size * width + 0.5))


def as_tensor(array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> Tensor:
    """Return a tensor on the array's own memory, or on the device; it must not be written to.

    Shared and memory-mapped arrays are read-only. torch has no read-only tensors and warns of
    that; a copy per trial would cost what sharing saves.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return data_to_device(array, torch.from_numpy(array))


def state_arrays(
    module: nn.Module, prefix: str = ""
) -> dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]:
    """Return a module's state as arrays by name."""
    return {prefix + name: to_array(t).copy() for name, t in module.state_dict().items()}


def state_specs(module: nn.Module) -> dict[str, TensorSpec]:
    """Return what `state_arrays` gives of such a module, without values."""
    dtypes = {torch.bfloat16: torch.float32}
    return {
        name: TensorSpec(
            shape=tuple(t.shape), dtype=str(dtypes.get(t.dtype, t.dtype)).removeprefix("torch.")
        )
        for name, t in module.state_dict().items()
    }


MOST_NAMED = 8
"""Tensors that an error names; it counts the others."""


def load_state(
    module: nn.Module, arrays: Arrays, prefix: str = "", *, source: str = "weights"
) -> None:
    """Load arrays into a module.

    Args:
        module: The module.
        arrays: Its tensors by name.
        prefix: Takes only arrays whose names begin with this, which the module's names lack.
        source: Where the arrays are from, for the error.

    Raises:
        DataError: Naming each tensor that is missing, left over or of another shape, and both
            shapes.
    """
    found = {n.removeprefix(prefix): array for n, array in arrays.items() if n.startswith(prefix)}
    wanted = module.state_dict()
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is left over" for name in found if name not in wanted]
    wrong += [
        f"{name} is {list(found[name].shape)}, the network has {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        kind = type(module).__name__
        raise DataError(f"{source} do not fit {kind}: {'; '.join(wrong[:MOST_NAMED])}{more}")
    module.load_state_dict({name: torch.tensor(array) for name, array in found.items()})
