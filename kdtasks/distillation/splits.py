"""A user's data: tensors, arrays or data sets in; named arrays out, as processes share them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdtasks.contract.error_text import written
from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.task import Arrays, MetricInfo, digest
from kdtasks.learning.device import on_host, to_array, to_host
from kdtasks.learning.tensors import as_tensor

INPUT = "x"
"""The inputs of a split; several are "x0", "x1", ... in the order of the networks' arguments."""

TARGET = "y"
"""The targets of a split."""

Score = Callable[[Tensor, Tensor], "float | Tensor"]
"""Takes outputs and targets of a split, returns one number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A number by which outputs are judged.

    Attributes:
        score: Returns it for the outputs and targets of a whole split.
        info: Unit, direction and meaning.
    """

    score: Score
    info: MetricInfo


def metric(
    score: Score,
    *,
    direction: Literal["minimize", "maximize"],
    unit: str = "",
    description: str = "",
) -> Metric:
    """Declare a number by which outputs are judged.

    Args:
        score: Takes the outputs and the targets of a whole split, returns one number.
        direction: Which way is better.
        unit: As printed in tables, for example ``"dB"``; empty for a pure number.
        description: One line for tables; the first line of the function's docstring by default.
    """
    text = description or (getattr(score, "__doc__", None) or "").strip().partition("\n")[0]
    info = MetricInfo(unit=unit, direction=direction, description=text)
    return Metric(score=score, info=info)


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """The data of a task, split once.

    Attributes:
        train: Inputs and targets of the training split: a pair ``(x, y)`` of tensors or arrays with
            a row per sample, where ``x`` may be a tuple of several inputs; or a map-style data set
            of such pairs that fits in memory.
        val: Validation split: all that a search may look at.
        test: Test split; it is opened only for reports.
        source: Where the data come from, for the report.
        facts: What else is to stand in the provenance, as JSON: ``licence``, and ``notes``, which
            are shown when a sweep begins.
    """

    train: Any
    val: Any
    test: Any
    source: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def arrays(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Return each split as named arrays.

        Raises:
            DataError: Naming the split, what is wrong with it and what would be right.
        """
        found = {name: _arrays(name, getattr(self, name)) for name in ("train", "val", "test")}
        for name, split in found.items():
            for key, array in split.items():
                wanted = found["train"].get(key)
                if wanted is None or wanted.shape[1:] != array.shape[1:]:
                    raise DataError(
                        f"data: {key} of {name} has shape {list(array.shape)}, of train "
                        f"{None if wanted is None else list(wanted.shape)}: all but the number of "
                        "samples must agree"
                    )
        if digest(found["train"]) == digest(found["test"]):
            raise DataError("data: train and test are the same samples; split them")
        return found


def _arrays(name: str, split: Any) -> dict[str, NDArray[Any]]:
    if hasattr(split, "__getitem__") and hasattr(split, "__len__") and not _is_pair(split):
        items = [split[index] for index in range(len(split))]
        if not items or not _is_pair(items[0]):
            raise DataError(f"data: {name} is a data set of no pairs (x, y)")
        split = tuple(_stacked(parts) for parts in zip(*items, strict=True))
    if not _is_pair(split):
        kind = type(split).__name__
        raise DataError(f"data: {name} is a {kind}; give a pair (x, y) of tensors, or a data set")
    inputs, targets = split
    several = isinstance(inputs, tuple | list)
    named = {f"{INPUT}{n}": one for n, one in enumerate(inputs)} if several else {INPUT: inputs}
    found = {
        key: _array(f"{key} of {name}", one) for key, one in {**named, TARGET: targets}.items()
    }
    if len({len(array) for array in found.values()}) > 1 or not len(found[TARGET]):
        counts = ", ".join(f"{key} {len(array)}" for key, array in found.items())
        raise DataError(f"data: {name} has {counts} samples; give as many of each, and at least 1")
    return found


def _is_pair(split: Any) -> bool:
    return isinstance(split, tuple | list) and len(split) == 2


def _stacked(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], tuple | list):
        return tuple(_stacked(one) for one in zip(*parts, strict=True))
    return np.stack([np.asarray(one) for one in parts])


def _array(what: str, values: Any) -> NDArray[Any]:
    """Return numbers as they are computed with: float32 or int64, in memory of their own."""
    array = to_array(values) if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise DataError(
            f"data: {what} is of type {array.dtype}; give real numbers, a row per sample"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"data: {what} has values that are NaN or infinite; remove those samples")
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64)


def inputs_of(split: Arrays) -> tuple[Tensor, ...]:
    """Return the inputs of a split, in the order of the networks' arguments."""
    names = [INPUT] if INPUT in split else sorted(split.keys() - {TARGET}, key=_number)
    return tuple(as_tensor(split[name]) for name in names)


def targets_of(split: Arrays) -> Tensor:
    """Return the targets of a split."""
    return as_tensor(split[TARGET])


def _number(name: str) -> int:
    return int(name.removeprefix(INPUT))


def scores_of(metrics: Mapping[str, Metric], outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Return what a task's metrics say of outputs, by name, without prefix.

    Raises:
        ConfigError: If one does not return one number.
    """
    found, wanted = to_host(outputs), to_host(targets)  # a user's metric need know no device
    with on_host(), torch.inference_mode():
        return {name: _one_number(name, one.score, found, wanted) for name, one in metrics.items()}


def _one_number(name: str, score: Score, outputs: Tensor, targets: Tensor) -> float:
    value: Any = score(outputs, targets)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = getattr(value, "shape", None)
        given = f"a {type(value).__name__}" if shape is None else f"shape {list(shape)}"
        raise ConfigError(
            f"metric {name!r}, {written(score)}, returns {given}, not one number: take its mean"
        ) from error
