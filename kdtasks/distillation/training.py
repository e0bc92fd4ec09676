"""Trains networks on arrays: towards targets, and towards a teacher's outputs and features.

Shape suffixes in this file: B = samples of a batch, N = samples of a split.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, Report
from kdtasks.distillation.settings import METHODS, DistillationSettings
from kdtasks.distillation.splits import Metric, inputs_of, scores_of, targets_of
from kdtasks.learning.custom_loss import own_loss
from kdtasks.learning.device import to_array
from kdtasks.learning.jobs import Job, Trained, train
from kdtasks.learning.losses import (
    blended_terms,
    draw_pairs,
    feature_mse,
    logit_mse,
    relation_loss,
    slot_cross_entropy,
    soft_target_kl,
)
from kdtasks.learning.random import drawing_from, initialised, seed_for, torch_generator
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import Objective, Schedule, at_effort, batches, evaluating

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and targets of a batch, returns a scalar."""

PARTNERS = 8
"""Pairs that each sample of a batch is in, for the relations among samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a network makes of samples.

    Attributes:
        outputs: Outputs, a row per sample.
        features: What the named part of it returns, a row per sample; None if none is named.
    """

    outputs: Tensor
    features: Tensor | None

    def __getitem__(self, index_B: Tensor) -> "Answers":
        """Return those of some samples."""
        features = None if self.features is None else self.features[index_B]
        return Answers(outputs=self.outputs[index_B], features=features)

    @classmethod
    def of(cls, arrays: Arrays) -> "Answers":
        """Return answers that are kept as arrays."""
        found = {name: as_tensor(array) for name, array in arrays.items()}
        return cls(outputs=found["outputs"], features=found.get("features"))

    def arrays(self) -> dict[str, Any]:
        """Return them as arrays by name."""
        named = {"outputs": self.outputs, "features": self.features}
        return {name: to_array(t) for name, t in named.items() if t is not None}


class Watched:
    """A network, and what one of its parts returns.

    Args:
        network: The network.
        part: Name of a submodule, as `torch.nn.Module.get_submodule` takes it; empty for none.

    Raises:
        ConfigError: If it has no such part.
    """

    def __init__(self, network: nn.Module, part: str) -> None:
        self.network = network
        self._seen: Tensor | None = None
        if part:
            try:
                module = network.get_submodule(part)
            except AttributeError as error:
                known = ", ".join(name for name, _ in network.named_children())
                raise ConfigError(
                    f"features names {part!r}, which {type(network).__name__} lacks; it has {known}"
                ) from error
            module.register_forward_hook(self._see)

    def _see(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise ConfigError(f"features names a part that returns a {kind}, not one tensor")
        self._seen = output

    def __call__(self, *inputs: Tensor) -> Answers:
        """Return the answers for a batch."""
        self._seen = None
        outputs = self.network(*inputs)
        return Answers(outputs=outputs, features=self._seen)

    def run(self, split: Arrays) -> Answers:
        """Return the answers for a split, in evaluation mode and without gradient."""
        inputs = inputs_of(split)
        with evaluating(self.network):
            found = [self(*(x[part] for x in inputs)) for part in batches(len(inputs[0]))]
        seen = [one.features for one in found if one.features is not None]
        return Answers(
            outputs=torch.cat([one.outputs for one in found]),
            features=torch.cat(seen) if seen else None,
        )


def default_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss towards targets: cross-entropy for integers, squared error for numbers.

    Raises:
        ConfigError: If outputs are not of the shape that targets need.
    """
    if targets.is_floating_point():
        wanted: list[Any] = [*targets.shape]
        right = outputs.shape == targets.shape
    else:
        wanted, right = [*targets.shape, "classes"], outputs.shape[:-1] == targets.shape
    if not right:
        raise ConfigError(
            f"the network returns shape {list(outputs.shape)} where targets need {wanted}: "
            "change its last layer, or give the task a loss(outputs, targets)"
        )
    if targets.is_floating_point():
        return torch.mean((outputs - targets).square())
    return slot_cross_entropy(outputs, targets)


def response_loss(settings: DistillationSettings, targets: Tensor) -> Loss:
    """Return the loss towards a teacher's outputs: KL for logits, squared error for numbers."""
    if targets.is_floating_point():
        return logit_mse
    return lambda student, teacher: soft_target_kl(
        student, teacher, temperature=settings.temperature
    ).mean()


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What a network is trained on, and by what it is judged.

    Attributes:
        train: Samples.
        val: Validation split; None at a node, which has none.
        loss: Loss towards targets.
        metrics: Scores on the validation split.
        seed: Of the order of samples and of whatever draws.
    """

    train: Arrays
    val: Arrays | None
    loss: Loss
    metrics: Mapping[str, Metric]
    seed: int

    def score(self, network: Watched) -> dict[str, float]:
        """Return the validation scores of a network."""
        assert self.val is not None
        return scores_of(self.metrics, network.run(self.val).outputs, targets_of(self.val))

    def merit(self, scores: Mapping[str, float]) -> float:
        """Return the first of the metrics, such that more is better."""
        name, first = next(iter(self.metrics.items()))
        return -scores[name] if first.info.direction == "minimize" else scores[name]

    def labelled(self, network: Watched) -> Objective:
        """Return the objective of a network that learns from targets alone."""
        inputs, targets = inputs_of(self.train), targets_of(self.train)

        def terms(index_B: Tensor) -> dict[str, Tensor]:
            found = network(*(x[index_B] for x in inputs)).outputs
            return {"total": self.loss(found, targets[index_B])}

        return terms

    def distilled(
        self,
        settings: DistillationSettings,
        network: Watched,
        teacher: Answers,
        projection: nn.Module | None,
    ) -> Objective:
        """Return the objective ``(1 - alpha) task + alpha distill`` of a method."""
        inputs, targets = inputs_of(self.train), targets_of(self.train)
        towards = _towards(settings, targets, projection, self.seed)

        def terms(index_B: Tensor) -> dict[str, Tensor]:
            found = network(*(x[index_B] for x in inputs))
            task = self.loss(found.outputs, targets[index_B])
            return blended_terms(task, towards(found, teacher[index_B]), alpha=settings.alpha)

        return terms

    def schedule(self, settings: DistillationSettings, macs: int) -> Schedule:
        """Return how long and how fast a student is trained at the effort of its trial.

        Args:
            settings: Of the trial.
            macs: Multiply-accumulates of a forward pass of a sample, of all generations.
        """
        plan = schedule_of(settings, teacher=False)
        samples = len(targets_of(self.train))
        samples -= samples % min(plan.batch_size, samples)
        return at_effort(plan, settings, lambda epochs: 6.0 * macs * samples * epochs)

    def run(
        self,
        network: Watched,
        objective: Objective,
        schedule: Schedule,
        modules: tuple[nn.Module, ...] = (),
    ) -> Generator[Report, None, Trained[nn.Module]]:
        """Train a network; yields a report per epoch.

        Args:
            network: The network.
            objective: What it learns.
            schedule: How long and how fast; a batch is no larger than the training split.
            modules: What is trained beside it.
        """
        count, draws = len(targets_of(self.train)), torch_generator(self.seed, "dropout")

        def drawn(index_B: Tensor) -> dict[str, Tensor]:
            with drawing_from(draws):
                return objective(index_B)

        job = Job(
            network=network.network,
            objective=drawn,
            num_samples=count,
            schedule=replace(schedule, batch_size=min(schedule.batch_size, count)),
            order=torch_generator(self.seed, "order"),
            modules=modules,
            score=None if self.val is None else lambda _: self.score(network),
            merit=(lambda _, scores: self.merit(scores)) if schedule.plateau else None,
        )
        trained = yield from train(job)
        network.network.eval()
        return trained


def _towards(
    settings: DistillationSettings, targets: Tensor, projection: nn.Module | None, seed: int
) -> Callable[[Answers, Answers], Tensor]:
    """Return the distillation term of a method, of the answers of student and teacher."""
    if settings.method == "feature":
        return lambda student, teacher: feature_mse(
            _features(student), _features(teacher), projection=projection
        )
    if settings.method == "relation":
        draws = torch_generator(seed, "pairs")

        def relation(student: Answers, teacher: Answers) -> Tensor:
            one, other = _described(student), _described(teacher)
            pairs = draw_pairs(len(one), partners=PARTNERS, generator=draws)
            weights = (settings.relation_distance, settings.relation_angle)
            return relation_loss(
                one, other, pairs, distance_weight=weights[0], angle_weight=weights[1]
            )

        return relation
    if settings.method in METHODS:
        loss = response_loss(settings, targets)
        return lambda student, teacher: loss(student.outputs, teacher.outputs)

    def own(student: Answers, teacher: Answers) -> Tensor:
        loss = own_loss(settings.method, (4, *student.outputs.shape[1:]), METHODS)
        return loss(student.outputs, teacher.outputs)

    return own


def _features(answers: Answers) -> Tensor:
    if answers.features is None:
        raise ConfigError(
            "method='feature' needs features = (part of the student, part of the teacher)"
        )
    return answers.features


def _described(answers: Answers) -> Tensor:
    """Return what describes samples: features if a part is named, else outputs."""
    seen = answers.outputs if answers.features is None else answers.features
    return seen.flatten(1)


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


def schedule_of(settings: DistillationSettings, *, teacher: bool) -> Schedule:
    """Return how long and how fast a network is trained."""
    return Schedule(
        epochs=settings.teacher_epochs if teacher else settings.epochs,
        batch_size=settings.teacher_batch if teacher else settings.batch_size,
        learning_rate=settings.teacher_rate if teacher else settings.learning_rate,
        weight_decay=0.0 if teacher else settings.weight_decay,
    )


def node_seed(seed: int, stream_name: str) -> int:
    """Return the seed of a node's random streams; without a name that of a lone trial."""
    return seed_for(seed, stream_name) if stream_name else seed
