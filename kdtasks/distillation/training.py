"""Trains networks on arrays: towards targets, and towards a teacher's outputs and features.

Shape suffixes in this file: B = samples of a batch, N = samples of a split.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, Report
from kdtasks.distillation.settings import METHODS, DistillationSettings
from kdtasks.distillation.splits import Metric, inputs_of, scores_of, targets_of
from kdtasks.learning.custom_loss import own_loss
from kdtasks.learning.distillation import (
    Goal,
    Loss,
    Outputs,
    distilled,
    features_of,
    labelled,
    response,
)
from kdtasks.learning.jobs import Job, Trained, train
from kdtasks.learning.losses import logit_mse, slot_cross_entropy, soft_target_kl
from kdtasks.learning.random import drawing_from, seed_for, torch_generator
from kdtasks.learning.training import Objective, Schedule, Terms, at_effort, batches, evaluating


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

    def __call__(self, *inputs: Tensor) -> Outputs:
        """Return outputs and features of a batch."""
        self._seen = None
        outputs = self.network(*inputs)
        return Outputs(outputs=outputs, features=self._seen)

    def run(self, split: Arrays) -> Outputs:
        """Return outputs and features of a split, in evaluation mode and without gradient."""
        inputs = inputs_of(split)
        with evaluating(self.network):
            found = [self(*(x[part] for x in inputs)) for part in batches(len(inputs[0]))]
        return Outputs.joined(found)


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


Augment = Callable[[tuple[Tensor, ...], torch.Generator], tuple[Tensor, ...]]
"""Returns inputs of a batch changed at random, with a generator."""


class Lessons:
    """What a teacher gives a student: outputs that stay, or new ones for every augmented batch.

    Args:
        outputs: Its outputs on all training samples.
        network: The teacher, in evaluation mode, if inputs are augmented; else None.

    Attributes:
        outputs: Those for the batch at hand are up to date.
        queried: Samples that the teacher was run on.
    """

    def __init__(self, outputs: Outputs, network: Watched | None = None) -> None:
        self.outputs, self.network, self.queried = outputs, network, 0
        if network is not None:
            features = None if outputs.features is None else outputs.features.clone()
            self.outputs = Outputs(outputs=outputs.outputs.clone(), features=features)

    def renew(self, index_B: Tensor, batch: tuple[Tensor, ...]) -> None:
        """Replace the outputs on some samples by those on their augmented inputs."""
        if self.network is None:
            return
        with torch.no_grad():
            found = self.network(*batch)
        self.outputs.outputs[index_B] = found.outputs
        if self.outputs.features is not None and found.features is not None:
            self.outputs.features[index_B] = found.features
        self.queried += len(index_B)


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What a network is trained on, and by what it is judged.

    Attributes:
        train: Samples.
        val: Validation split; None at a node, which has none.
        loss: Loss towards targets.
        metrics: Scores on the validation split.
        seed: Of the order of samples and of whatever draws.
        augment: Changes the inputs of a batch; None for nothing.
    """

    train: Arrays
    val: Arrays | None
    loss: Loss
    metrics: Mapping[str, Metric]
    seed: int
    augment: Augment | None = None

    def score(self, network: Watched) -> dict[str, float]:
        """Return the validation scores of a network."""
        assert self.val is not None
        return scores_of(self.metrics, network.run(self.val).outputs, targets_of(self.val))

    def merit(self, scores: Mapping[str, float]) -> float:
        """Return the first of the metrics, such that more is better."""
        name, first = next(iter(self.metrics.items()))
        return -scores[name] if first.info.direction == "minimize" else scores[name]

    def goal(
        self, settings: DistillationSettings, network: Watched, teacher: Outputs | None
    ) -> Goal:
        """Return what a network is trained for: targets, and the outputs of a teacher if any."""
        targets = targets_of(self.train)
        task = response(self.loss, targets)
        if teacher is None:
            return labelled(task)
        loss, features = response_loss(settings, targets), None
        if settings.method not in METHODS:
            loss = own_loss(settings.method, (4, *teacher.outputs.shape[1:]), METHODS)
        if settings.method == "feature":
            first = {name: array[:1] for name, array in self.train.items()}
            features = features_of(network.run(first)).shape[1:]
        own = settings.model_copy(update={"seed": self.seed})
        return distilled(task, teacher, own, loss, features or ())

    def objective(self, network: Watched, goal: Goal, lessons: Lessons | None = None) -> Objective:
        """Return the objective of training a network for a goal, with the outputs of a teacher."""
        inputs, draws = inputs_of(self.train), torch_generator(self.seed, "augmentation")

        def terms(index_B: Tensor) -> Terms:
            batch = tuple(x[index_B] for x in inputs)
            if self.augment is not None:
                batch = self.augment(batch, draws)
            if lessons is not None:
                lessons.renew(index_B, batch)
            return goal.terms(network(*batch), index_B)

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


def schedule_of(settings: DistillationSettings, *, teacher: bool) -> Schedule:
    """Return how long and how fast a network is trained."""
    return Schedule(
        epochs=settings.teacher_epochs if teacher else settings.epochs,
        batch_size=settings.teacher_batch if teacher else settings.batch_size,
        learning_rate=settings.teacher_rate if teacher else settings.learning_rate,
        rate_name="teacher_rate" if teacher else "learning_rate",
        weight_decay=0.0 if teacher else settings.weight_decay,
    )


def node_seed(seed: int, stream_name: str) -> int:
    """Return the seed of a node's random streams; without a name that of a lone trial."""
    return seed_for(seed, stream_name) if stream_name else seed
