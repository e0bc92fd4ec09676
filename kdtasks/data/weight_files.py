"""Teachers that are trained already: files of weights are read without running any code."""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Report, prefixed
from kdtasks.data.reading import check_file, content_of, damage_named
from kdtasks.learning.device import to_array
from kdtasks.learning.tensors import load_state

MOST_BYTES = 8 << 30
"""Largest file of weights that is read."""


def weights_content(path: Path) -> str:
    """Return the SHA-256 of a file of weights.

    Raises:
        DataError: If there is no such file.
    """
    _check_present(path)
    return content_of(path)


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"{path}: there is no such file of weights; correct teacher_weights, or drop it"
        )


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
    return {name: to_array(tensor) for name, tensor in found.items()}


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a file of weights into a network.

    Raises:
        DataError: As `read_weights` and `load_state`, or if a value is NaN or infinite.
    """
    found = read_weights(path)
    load_state(module, found, source=f"weights of {path}")
    if bad := [n for n, a in found.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]:
        raise DataError(f"{path}: {bad[0]} has values that are NaN or infinite")


def weights_identity(file: str) -> dict[str, str]:
    """Return the part of a teacher's fingerprint that its file decides, by its content.

    Args:
        file: Parameter ``teacher_weights``; empty for a teacher that is trained here.

    Raises:
        DataError: If there is no such file.
    """
    return {"weights": weights_content(Path(file))} if file else {}


def load_teacher(
    network: nn.Module, file: str, score: Callable[[], Mapping[str, float]]
) -> Generator[Report, None, dict[str, float]]:
    """Load a teacher that is trained already, instead of training one; yields one report.

    Args:
        network: The teacher.
        file: Parameter ``teacher_weights``.
        score: Returns the validation scores of the network, without prefix.

    Returns:
        The metrics of a `TeacherArtifact`: validation scores, and no time of training.

    Raises:
        DataError: As `load_weights`.
    """
    load_weights(network, Path(file))
    network.eval()
    metrics = prefixed("val", score())
    yield Report(epoch=1, epochs=1, metrics=metrics)
    return {**metrics, "train_core_seconds": 0.0}
