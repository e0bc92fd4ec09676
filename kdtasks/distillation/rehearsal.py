"""Data, networks, loss and metrics of a user's own, tried together before anything is trained.

What does not fit is refused in one line that names the function and its file, what it returned,
what was needed and the fix. In a training it would be an error of a library, in every trial.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdtasks.contract.error_text import blamed, written
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, ScenarioData
from kdtasks.distillation.settings import DistillationSettings
from kdtasks.distillation.splits import TARGET, Metric, inputs_of, scores_of, targets_of
from kdtasks.distillation.training import Course, Watched
from kdtasks.learning.distillation import Outputs
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.training import evaluating

MOST = 64
"""Samples of a batch, at most."""

Function = Callable[..., Any]


def shown(value: Any) -> str:
    """Return the shape of a tensor, or the type of anything else."""
    return (
        f"shape {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A network that was run on the batch.

    Attributes:
        name: Its class, and the function that has made it.
        network: The network.
        outputs: Of the batch, in evaluation mode.
    """

    name: str
    network: Watched
    outputs: Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """Trials of a few samples, without a step of training.

    Attributes:
        data: The trials' data.
        loss: The task's own loss; None for `kdtasks.distillation.training.default_loss`.
        metrics: By name.
        judged: Shapes of the outputs for which metrics have been computed.
    """

    data: ScenarioData
    loss: Function | None
    metrics: Mapping[str, Metric]
    judged: set[torch.Size] = field(default_factory=set)

    def batch(self, size: int = MOST) -> Arrays:
        """Return samples of the training split, of the least and the greatest target first."""
        targets = np.asarray(self.data.train[TARGET]).reshape(len(self.data.train[TARGET]), -1)
        ends = (int(targets.min(1).argmin()), int(targets.max(1).argmax()))
        rows = [*dict.fromkeys((*ends, *range(min(MOST, len(targets)))))][: min(size, MOST)]
        return {name: array[rows] for name, array in self.data.train.items()}

    def run(self, function: Function, make: Callable[[], Watched], course: Course) -> Tried:
        """Run a network on a batch.

        Args:
            function: The user's, for the error.
            make: Calls it.
            course: Of the batch.

        Raises:
            ConfigError: If that fails, or the outputs do not fit the targets.
        """
        with blamed(f"{written(function)} fails"):
            watched = make()
        inputs, targets = inputs_of(course.train), targets_of(course.train)
        name = f"the {type(watched.network).__name__} of {written(function)}"
        shapes = " and ".join(str(list(one.shape)) for one in inputs)
        fix = "; make its layers fit them"
        with blamed(f"{name} fails on inputs of shape {shapes}, as data() gives them", fix):
            with torch.no_grad():
                problem = self._misfit(watched.network.train()(*inputs), targets)
            if not problem:
                with evaluating(watched.network):
                    found = watched(*inputs)
                problem = self._misfit(found.outputs, targets)
        if problem:
            raise ConfigError(f"{name} {problem}")
        return Tried(name=name, network=watched, outputs=found)

    def _misfit(self, outputs: Any, targets: Tensor) -> str:
        """Return why outputs do not fit targets; empty if they do."""
        gives = f"returns {shown(outputs)}"
        if not isinstance(outputs, Tensor):
            return f"{gives}, not one tensor: return the outputs alone"
        if outputs.ndim == 0 or len(outputs) != len(targets):
            return f"{gives} for {len(targets)} samples: return a row for each"
        if self.loss is not None:
            return ""
        if targets.is_floating_point():
            return _misfit_of_numbers(gives, outputs, targets)
        return _misfit_of_classes(gives, outputs, targets) or self._wrong_labels(gives, outputs)

    def _wrong_labels(self, gives: str, outputs: Tensor) -> str:
        """Return which labels of the data are no outputs; empty if all are."""
        count = outputs.shape[-1]
        for name in ("train", "val", "test"):
            labels = np.asarray(getattr(self.data, name)[TARGET])
            labels = labels[labels != IGNORED]
            low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
            if low >= 0 and high < count:
                continue
            fix = f"give it {high + 1} outputs"
            if low < 0:
                fix = f"count classes from 0, or give {IGNORED} to samples without a label"
            elif low > 0 and high - low < count:
                fix = f"count classes from 0 in data(): y - {low}"
            return f"{gives}, but labels of {name} go from {low} to {high}: {fix}"
        return ""

    def step(
        self,
        tried: Tried,
        course: Course,
        settings: DistillationSettings,
        teacher: Outputs | None = None,
    ) -> None:
        """Compute the loss of the batch.

        Args:
            tried: The network that is trained.
            course: Of the batch.
            settings: Of the trial.
            teacher: Its outputs of the batch; None for the loss towards targets.

        Raises:
            ConfigError: If that fails, or nothing can be trained by it.
        """
        what = "the loss" if self.loss is None else written(self.loss)
        if teacher is not None:
            what = f"method {settings.method}"
            _check_alike(tried, teacher, settings.method)
        with blamed(f"{what} fails for {shown(tried.outputs.outputs)} of {tried.name}"):
            goal = course.goal(settings, tried.network, teacher)
            terms = course.objective(tried.network, goal)
            tried.network.network.train()
            total = terms(torch.arange(len(course.train[TARGET])))["total"]
        if not isinstance(total, Tensor) or total.shape != ():
            raise ConfigError(f"{what} returns {shown(total)}, not one number: end with .mean()")
        if not total.requires_grad:
            raise ConfigError(
                f"{what} returns a number that no gradient reaches: compute with torch alone, "
                "without item, detach or argmax"
            )
        if not total.isfinite():
            whole = bool(tried.outputs.outputs.isfinite().all())
            value = str(total.item()) if whole else "values that are NaN or infinite"
            raise ConfigError(
                f"{what if whole else tried.name} returns {value} before any training: keep "
                "logarithms, roots and divisions in it away from 0"
            )

    def judge(self, found: Outputs) -> None:
        """Compute every metric once for outputs of a shape.

        A metric is made for a whole split: it is given the targets of the validation split, and the
        outputs of the batch over and over.

        Args:
            found: Outputs of the batch.

        Raises:
            ConfigError: If a metric fails, or does not return one number.
        """
        if found.outputs.shape in self.judged:
            return
        self.judged.add(found.outputs.shape)
        targets = targets_of(self.data.val)
        outputs = found.outputs[torch.arange(len(targets)) % len(found.outputs)]
        for name, one in self.metrics.items():
            where = f"outputs of {shown(outputs)} and targets of {shown(targets)}"
            with blamed(f"metric {name!r}, {written(one.score)}, fails for {where}"):
                scores_of({name: one}, outputs, targets)


def _check_alike(student: Tried, teacher: Outputs, method: str) -> None:
    """Check that a method that compares outputs is given those of one shape.

    Raises:
        ConfigError: If they differ.
    """
    own, other = student.outputs.outputs.shape, teacher.outputs.shape
    if method not in ("feature", "relation") and own != other:
        raise ConfigError(
            f"{student.name} returns shape {list(own)}, its teacher {list(other)}, and method "
            f"{method} compares them: give both as many outputs"
        )


OWN = "or give the task a loss(outputs, targets)"


def _misfit_of_numbers(gives: str, outputs: Tensor, targets: Tensor) -> str:
    if outputs.shape == targets.shape:
        return ""
    hint = "; classes are integers" if outputs.shape[:-1] == targets.shape else ""
    return (
        f"{gives} where targets are numbers of {shown(targets)}{hint}: change its last layer, {OWN}"
    )


def _misfit_of_classes(gives: str, outputs: Tensor, targets: Tensor) -> str:
    if outputs.ndim and outputs.shape[:-1] == targets.shape:
        return ""
    if outputs.shape == targets.shape and bool((targets.sum(-1) == 1).all()):
        return (
            f"{gives} where targets of {shown(targets)} look one-hot: give integer classes in "
            "data(), y.argmax(-1)"
        )
    return (
        f"{gives} where classes of {shown(targets)} need {[*targets.shape, 'classes']}: change its "
        f"last layer, {OWN}"
    )
