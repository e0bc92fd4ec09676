"""Weights that somebody else has trained: read without running anything, compared name by name."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import check_file, content_of, damage_named

MOST_BYTES = 8 << 30
"""Largest file of weights that is read."""

MOST_NAMED = 8
"""Tensors that an error names; it counts the others."""


def weights_content(path: Path) -> str:
    """Return the SHA-256 of a file of weights.

    Raises:
        DataError: If there is no such file.
    """
    _check_present(path)
    return content_of(path)


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file of weights")


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file by name.

    Args:
        path: safetensors, or a state dict that `torch.save` has written (``.pt``, ``.pth``), which
            is read with ``weights_only``; it may stand under the key ``state_dict`` or ``model``.

    Raises:
        DataError: If there is no such file, it is damaged, or it holds something else.
    """
    _check_present(path)
    check_file(path, MOST_BYTES)
    with damage_named(path, "give safetensors, or a state dict of torch.save"):
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise DataError(f"{path}: holds no state dict; save model.state_dict()")
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a file of weights into a network.

    Raises:
        DataError: As `read_weights`, or naming each tensor that is missing, left over or of another
            shape, and both shapes.
    """
    found, wanted = read_weights(path), module.state_dict()
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is left over" for name in found if name not in wanted]
    wrong += [
        f"{name} is {list(found[name].shape)}, the network has {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and tuple(found[name].shape) != tuple(tensor.shape)
    ]
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        kind = type(module).__name__
        raise DataError(f"{path} does not fit {kind}: {'; '.join(wrong[:MOST_NAMED])}{more}")
    if bad := [
        n for n, one in found.items() if one.dtype.kind == "f" and not np.isfinite(one).all()
    ]:
        raise DataError(f"{path}: {bad[0]} has values that are NaN or infinite")
    module.load_state_dict({name: torch.tensor(array) for name, array in found.items()})
