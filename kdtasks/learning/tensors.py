"""Between arrays, which processes share, and tensors, which networks take."""

import warnings
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import TensorSpec
from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Arrays


def scaled(size: int, width: float) -> int:
    """Return a published size times the width factor, rounded, at least 1.

    Raises:
        ValueError: If the factor is not positive.
    """
    if width <= 0.0:
        raise ValueError(f"width must be > 0, got {width=}")
    return max(1, int(size * width + 0.5))


def as_tensor(array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> Tensor:
    """Return a tensor on the array's own memory; it must not be written to.

    Shared and memory-mapped arrays are read-only. torch has no read-only tensors and warns of
    that; a copy per trial would cost what sharing saves.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def state_arrays(
    module: nn.Module, prefix: str = ""
) -> dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]:
    """Return a module's state as arrays by name."""
    return {prefix + name: t.detach().numpy().copy() for name, t in module.state_dict().items()}


def state_specs(module: nn.Module) -> dict[str, TensorSpec]:
    """Return what `state_arrays` gives of such a module, without values."""
    return {
        name: TensorSpec(shape=tuple(t.shape), dtype=str(t.dtype).removeprefix("torch."))
        for name, t in module.state_dict().items()
    }


def load_state(module: nn.Module, arrays: Arrays, prefix: str = "") -> None:
    """Load arrays into a module.

    Raises:
        DataError: If a tensor is missing, left over or of the wrong shape.
    """
    chosen = {
        name.removeprefix(prefix): torch.tensor(array)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    wanted = module.state_dict()
    both = wanted.keys() & chosen.keys()
    odd = {
        "missing": wanted.keys() - both,
        "left over": chosen.keys() - both,
        "of another shape": {name for name in both if wanted[name].shape != chosen[name].shape},
    }
    if any(odd.values()):
        said = [f"{_some(names)} {word}" for word, names in odd.items() if names]
        raise DataError(f"weights do not fit {type(module).__name__}: {', '.join(said)}")
    module.load_state_dict(chosen)


def _some(names: Iterable[str]) -> str:
    """Return how many tensors these are, and the first of them."""
    first, *others = sorted(names)
    return f"{first} and {len(others)} more are" if others else f"{first} is"
