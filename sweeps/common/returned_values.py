"""Type checks of the values that a task returns, made where the engine receives them.

Without them, a wrong type would cause an error far from its origin: where arrays are shared,
evaluated or written to disk.
"""

import posixpath
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from kdtasks.contract.errors import UserError
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Baseline, Outcome, Report, ScenarioData, TeacherArtifact

T = TypeVar("T")

REAL = "biuf"
"""Kinds of NumPy types that weight files hold: booleans, integers and floats."""
WIDEST = 8
"""Largest item size in weight files [byte]."""


NAME = re.compile(r"[/\w.\- :]*")
LONGEST_NAME, LONGEST_VALUE = 250, 6000
"""MLflow's limits for names of metrics and parameters and for a parameter's value [characters],
checked early because MLflow would report a violation only when the first run is written."""


class ContractError(UserError):
    """A task returned a value that violates `kdtasks.contract.task.KDTask`."""


def fitting(what: str, value: T, wrong: Callable[[Any], str]) -> T:
    """Return ``value`` if ``wrong``, which describes a problem and its fix, returns no text.

    Raises:
        ContractError: If it is wrong; the message begins with ``what``, the method's name.
    """
    if problem := wrong(value):
        raise ContractError(f"{what}: {problem}")
    return value


def generated(what: str, work: Generator[Report, None, T]) -> Generator[Report, None, T]:
    """Forward the reports of a training and return its result.

    Raises:
        ContractError: If it is no generator, or yields something else.
    """
    if not isinstance(work, Generator):
        raise ContractError(
            f"{what}: it returns {described(work)} at once; yield a kdtasks.contract.task.Report "
            "per epoch and return the result behind the last"
        )
    try:
        return (yield from forwarded(work, lambda one: fitting(what, one, _wrong_report)))
    finally:
        work.close()


def _wrong_report(report: object) -> str:
    if isinstance(report, Report):
        return ""
    return f"it yields {described(report)}; yield a kdtasks.contract.task.Report"


def wrong_outcome(value: object) -> str:
    """Return what is wrong with the result of a student's training; empty if nothing is."""
    if not isinstance(value, Outcome):
        return (
            f"it ends with {described(value)}; "
            "return kdtasks.contract.task.Outcome(metrics=, weights=)"
        )
    return wrong_numbers(value.metrics, "metrics") or wrong_arrays(value.weights, "weights")


def wrong_teacher(value: object) -> str:
    """Return what is wrong with the result of a teacher's training; empty if nothing is."""
    if not isinstance(value, TeacherArtifact):
        return (
            f"it ends with {described(value)}; return "
            "kdtasks.contract.task.TeacherArtifact(metrics=, weights=, outputs=)"
        )
    arrays = wrong_arrays(value.weights, "weights") or wrong_arrays(value.outputs, "outputs")
    return wrong_numbers(value.metrics, "metrics") or arrays


def wrong_scenario(value: object) -> str:
    """Return what is wrong with loaded data; empty if nothing is."""
    if not isinstance(value, ScenarioData):
        return (
            f"it returns {described(value)}; return "
            "kdtasks.contract.task.ScenarioData(train=, val=, test=, provenance=)"
        )
    if not isinstance(value.provenance, Mapping):
        return f"provenance is {described(value.provenance)}; take a dict that names the source"
    splits = {"train": value.train, "val": value.val, "test": value.test}
    return next(filter(None, (_wrong_split(*split) for split in splits.items())), "")


def _wrong_split(name: str, arrays: Any) -> str:
    if wrong := wrong_arrays(arrays, name, kinds=f"{REAL}c"):
        return wrong
    for key, array in arrays.items():
        if array.ndim == 0 or len(array) == 0:
            return f"{name}[{key!r}] has shape {array.shape}; the first axis counts samples"
    return "" if arrays else f"{name} has no arrays"


def wrong_arrays(arrays: Any, what: str, kinds: str = REAL) -> str:
    """Return what is wrong with named arrays, called ``what``; empty if nothing is."""
    if not isinstance(arrays, Mapping):
        return f"{what} is {described(arrays)}; take a dict of NumPy arrays by name"
    for name, array in arrays.items():
        if not isinstance(name, str):
            return f"{what}: the name {name!r} is {described(name)}; name arrays by words"
        if not isinstance(array, np.ndarray):
            return f"{what}[{name!r}] is {described(array)}; {_array_of(array)}"
        wide = WIDEST * (1 + (array.dtype.kind == "c"))
        if array.dtype.kind not in kinds or array.dtype.itemsize > wide:
            numbers = "real numbers" if kinds == REAL else "numbers"
            return f"{what}[{name!r}] is {described(array)}; take a NumPy array of {numbers}"
    return ""


def _array_of(value: object) -> str:
    """Return how to convert a value to a NumPy array."""
    if hasattr(value, "detach"):
        return (
            "take NumPy arrays: kdtasks.learning.tensors.state_arrays(net) gives those of a "
            "network, tensor.detach().cpu().numpy() that of a tensor"
        )
    return "take a NumPy array: numpy.asarray(...)"


def wrong_name(name: str) -> str:
    """Return why MLflow would reject the name of a metric or parameter; empty if it accepts it."""
    if not NAME.fullmatch(name):
        return f"MLflow takes no name like {name!r}: use letters, digits, spaces and _ - . : /"
    if posixpath.normpath(name) != name or name.startswith(("..", "/")) or name == ".":
        return f"MLflow takes no name like {name!r}: it could be read as the path of another name"
    if len(name) > LONGEST_NAME:
        return f"MLflow takes names of {LONGEST_NAME} characters at most, not {name[:20]}..."
    return ""


def wrong_numbers(numbers: Any, what: str) -> str:
    """Return what is wrong with named numbers; empty if nothing is. They may be infinite or NaN."""
    if not isinstance(numbers, Mapping):
        return f"{what} is {described(numbers)}; take a dict of numbers by name"
    for name, value in numbers.items():
        if not isinstance(name, str):
            return f"{what}: the name {name!r} is {described(name)}; name numbers by words"
        if isinstance(value, str) or not _is_number(value):
            return f"{what}: {name} is {_shown(value)}, not a number; take float(...)"
        if wrong := wrong_name(name):
            return f"{what}: {wrong}"
    return ""


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # tensors of several numbers
        return False
    return True


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else described(value)


def wrong_params(value: object) -> str:
    """Return what is wrong with completed parameters; empty if nothing is."""
    if not isinstance(value, Mapping):
        return f"it returns {described(value)}; return all parameters in a dict"
    for name, entry in value.items():
        if wrong := wrong_name(str(name)):
            return wrong
        if len(str(entry)) > LONGEST_VALUE:
            return f"{name} is longer than the {LONGEST_VALUE} characters that MLflow keeps"
    return ""


def wrong_identity(value: object) -> str:
    """Return what is wrong with a fingerprint of data or a teacher; empty if nothing is."""
    if isinstance(value, str) and value:
        return ""
    return f"it returns {described(value)}; kdtasks.contract.params.fingerprint(...) makes one"


def wrong_baselines(value: Any) -> str:
    """Return what is wrong with baselines; empty if nothing is."""
    if not isinstance(value, Iterable) or not all(isinstance(one, Baseline) for one in value):
        return (
            f"it returns {described(value)}; return a list of kdtasks.contract.task.Baseline, or []"
        )
    wrong = (wrong_numbers(one.metrics, f"{one.name}: metrics") for one in value)
    return next(filter(None, wrong), "")


def described(value: object) -> str:
    """Describe the type of a value."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    module = type(value).__module__.partition(".")[0]
    origin = f"{module} " if module in ("torch", "numpy", "jax", "tensorflow", "pandas") else ""
    return f"a {origin}{type(value).__name__}"
