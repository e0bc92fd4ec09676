"""What a student is trained for: labels, and what its method takes from a teacher's outputs.

Response distillation matches the teacher's outputs, feature distillation its features, relational
distillation the pairwise relations among the features of samples. The losses themselves are in
`kdtasks.learning.losses`; any other method is a loss of the user's own, which is a response too.

Shape suffixes in this file: B = samples of a batch, N = samples of a split.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import Work
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.device import to_array
from kdtasks.learning.losses import blended_terms, draw_pairs, feature_mse, relation_loss
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import Terms


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Outputs and features of a network.

    Attributes:
        outputs: Outputs, a row per sample.
        features: Outputs of an inner part of the network, a row per sample; None if none is named.
    """

    outputs: Tensor
    features: Tensor | None = None

    def __getitem__(self, index_B: Tensor) -> "Outputs":
        """Return those of some samples."""
        features = None if self.features is None else self.features[index_B]
        return Outputs(outputs=self.outputs[index_B], features=features)

    @classmethod
    def of(cls, arrays: Arrays, name: str = "outputs") -> "Outputs":
        """Return outputs that are kept as arrays.

        Args:
            arrays: As `arrays` returns them.
            name: Name of the outputs among them.
        """
        features = arrays.get("features")
        return cls(
            outputs=as_tensor(arrays[name]),
            features=None if features is None else as_tensor(features),
        )

    @classmethod
    def joined(cls, parts: Sequence["Outputs"]) -> "Outputs":
        """Return the outputs of several batches, one after the other."""
        features = [part.features for part in parts if part.features is not None]
        return cls(
            outputs=torch.cat([part.outputs for part in parts]),
            features=torch.cat(features) if features else None,
        )

    def arrays(self, name: str = "outputs") -> dict[str, Any]:
        """Return them as arrays, ``name`` and ``features``."""
        named = {name: self.outputs, "features": self.features}
        return {
            key: to_array(tensor.contiguous())
            for key, tensor in named.items()
            if tensor is not None
        }


Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and targets (labels, or the teacher's outputs) of a batch, returns a scalar."""

Term = Callable[[Outputs, Tensor], Tensor]
"""Takes the student's outputs of a batch and the indices [B] of its samples, returns a scalar."""

SampleTerms = Callable[[Outputs, Tensor], Terms]
"""The same for all terms of the loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What a student is trained for.

    Attributes:
        terms: Terms of the loss.
        modules: What is trained beside the student, and dropped afterwards.
    """

    terms: SampleTerms
    modules: "tuple[Projection, ...]" = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the modules, of a sample."""
        return sum(module.macs for module in self.modules)


class KdSettings(Protocol):
    """Parameters of the methods that several tasks have."""

    @property
    def method(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def alpha(self) -> float: ...
    @property
    def relation_distance(self) -> float: ...
    @property
    def relation_angle(self) -> float: ...
    @property
    def relation_partners(self) -> int: ...


def response(loss: Loss, targets_N: Tensor) -> Term:
    """Return the loss of outputs towards labels, or towards the outputs of a teacher."""
    return lambda found, index_B: loss(found.outputs, targets_N[index_B])


def blended(task: Term, distill: Term | None, alpha: float) -> SampleTerms:
    """Return the terms of ``(1 - alpha) task + alpha distill``; at 0 the task's alone."""

    def terms(found: Outputs, index_B: Tensor) -> Terms:
        labels = task(found, index_B)
        if distill is None or alpha == 0.0:
            return {"total": labels, "task": labels}
        return blended_terms(labels, distill(found, index_B), alpha=alpha)

    return terms


def labelled(task: Term) -> Goal:
    """Return the goal of a training without a teacher."""
    return Goal(terms=blended(task, None, 0.0))


def distilled(
    task: Term,
    teacher: Outputs | None,
    settings: KdSettings,
    loss: Loss,
    student_features: Sequence[int] = (),
    passage_N: Tensor | None = None,
) -> Goal:
    """Return what a student is trained for by a method.

    Args:
        task: Loss towards labels.
        teacher: Its outputs on all training samples; None trains on labels alone.
        settings: Method and weights. Without weights relations teach nothing, at any alpha.
        loss: Towards the teacher's outputs, for methods other than feature and relation.
        student_features: Shape of the student's features, without batch, for method feature.
        passage_N: Passage of each sample, see `draw_pairs`.

    Raises:
        ConfigError: If method feature has no features.
    """
    distill: Term | None = None
    modules: tuple[Projection, ...] = ()
    if teacher is None:
        pass
    elif settings.method == "feature":
        mapping = projection(student_features, features_of(teacher).shape[1:], settings.seed)
        modules = () if mapping is None or settings.alpha == 0.0 else (mapping,)
        distill = _feature(teacher, mapping)
    elif settings.method == "relation":
        weighs = settings.relation_distance or settings.relation_angle
        distill = _relation(teacher, settings, passage_N) if weighs else None
    else:
        distill = response(loss, teacher.outputs)
    return Goal(terms=blended(task, distill, settings.alpha), modules=modules)


def _feature(teacher: Outputs, mapping: nn.Module | None) -> Term:
    return lambda found, index_B: feature_mse(
        features_of(found), features_of(teacher)[index_B], projection=mapping
    )


def _relation(teacher: Outputs, settings: KdSettings, passage_N: Tensor | None) -> Term:
    """Return the loss of pairs of samples, each described by its features or outputs in a row.

    Where passages are known pairs are of different ones: windows of one passage share frames, and
    are alike to any network. The code of Table II draws from all windows.
    """
    generator = torch_generator(settings.seed, "pairs")

    def distill(found: Outputs, index_B: Tensor) -> Tensor:
        one, other = _described(found), _described(teacher[index_B])
        pairs_P2 = draw_pairs(
            len(one),
            partners=settings.relation_partners,
            generator=generator,
            passage_B=None if passage_N is None else passage_N[index_B],
        )
        return relation_loss(
            one,
            other,
            pairs_P2,
            distance_weight=settings.relation_distance,
            angle_weight=settings.relation_angle,
        )

    return distill


def features_of(found: Outputs) -> Tensor:
    """Return the features of a network.

    Raises:
        ConfigError: If no part of it is named.
    """
    if found.features is None:
        raise ConfigError(
            "method='feature' needs features = (part of the student, part of the teacher)"
        )
    return found.features


def _described(found: Outputs) -> Tensor:
    described = found.outputs if found.features is None else found.features
    return described.flatten(1)


def complete_outputs(
    teacher: TeacherArtifact,
    name: str,
    total: int,
    ask: Callable[[int], tuple[Arrays, Work]],
) -> tuple[TeacherArtifact, Work]:
    """Return a teacher with its outputs on all samples, and the cost of those that it lacked.

    Args:
        teacher: Its outputs are those of the first samples, or of none.
        name: The outputs that are needed.
        total: Samples.
        ask: Runs the teacher on the samples from a number on; returns all its outputs, and the
            cost without time.
    """
    known = len(teacher.outputs.get(name, ()))
    if known == total:
        return teacher, Work()
    begin = time.process_time()
    new, work = ask(known)
    if known:
        new = {key: np.concatenate([teacher.outputs[key], rows]) for key, rows in new.items()}
    spent = time.process_time() - begin
    work = replace(work, core_seconds=spent, teacher_samples=total - known)
    return replace(teacher, outputs={**teacher.outputs, **new}), work


class Projection(nn.Module):
    """Maps features of a student to those of a teacher by one matrix.

    It mixes channels where all that comes after these agrees (a 1 x 1 convolution, as for feature
    maps), the last axis where all before it agrees (as for sequences), and else all numbers.

    Args:
        student: Shape of the student's features, without batch.
        teacher: That of the teacher's.
    """

    def __init__(self, student: Sequence[int], teacher: Sequence[int]) -> None:
        super().__init__()
        self._shape, self._axis = tuple(teacher), 0
        if tuple(student[1:]) == self._shape[1:]:
            self._axis = 1
        elif tuple(student[:-1]) == self._shape[:-1]:
            self._axis = -1
        axis = self._axis - 1 if self._axis > 0 else self._axis
        sizes = (student[axis], teacher[axis]) if self._axis else (prod(student), prod(teacher))
        self.linear = nn.Linear(*sizes)
        self.macs = prod(sizes) * (prod(teacher) // sizes[1])
        """Multiply-accumulates of a sample."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the teacher's shape."""
        if not self._axis:
            found: Tensor = self.linear(features.flatten(1))
            return found.reshape(-1, *self._shape)
        mixed: Tensor = self.linear(features.movedim(self._axis, -1))
        return mixed.movedim(-1, self._axis)


def projection(student: Sequence[int], teacher: Sequence[int], seed: int) -> Projection | None:
    """Return what maps features of the student to those of the teacher; None for equal shapes."""
    if tuple(student) == tuple(teacher):
        return None
    return initialised(seed, "projection", lambda: Projection(student, teacher))
