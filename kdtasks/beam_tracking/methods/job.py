"""What every method of beam tracking is given, and the one training that all of them share.

Shape suffixes in this file: W = windows of a split, B = windows of a batch, T = predicted slots,
C = beams, H = output features.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kdtasks.beam_tracking.methods.batches import Chunks, Passes, Windows
from kdtasks.beam_tracking.models.network import BeamNetwork, BeamOutputs
from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Report, prefixed
from kdtasks.learning.losses import blended_terms
from kdtasks.learning.random import drawing_from
from kdtasks.learning.training import Schedule, Terms, batches, fit
from kdtasks.sensing.beams.metrics import scores_of

CLIP_NORM = 10.0
"""Gradients are cut to this norm, as in the code of Table II."""

EVALUATED_TOGETHER = 256
"""Windows that are run at once where nothing is learnt."""

SELECTED_BY = "top2"
"""Weights are those of the epoch in which this score, the mean over slots on the validation split,
is best. One rule for all methods: validation focal loss, as in the code of Table II, favours those
without distillation."""

TaskLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of logits [B, T, C] against labels [B, T]."""

DistilLoss = Callable[[BeamOutputs, Tensor], Tensor]
"""Loss of what a student says of the predicted slots of some windows [B], against its teacher."""

SlotTerms = Callable[[BeamOutputs, Tensor, Tensor], Terms]
"""Terms of the loss from what a student says of predicted slots, labels [B, T] and windows [B]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What a student is trained for.

    Attributes:
        terms: Terms of the loss.
        modules: What is trained beside the student, and dropped afterwards.
    """

    terms: SlotTerms
    modules: tuple[nn.Module, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The numbers to train by.

    Attributes:
        epochs: Passes over the windows.
        batch_chunks: Chunks of windows per step.
        learning_rate: Peak rate of Adam.
        weight_decay: See `Schedule`.
    """

    epochs: int
    batch_chunks: int
    learning_rate: float
    weight_decay: float

    @property
    def schedule(self) -> Schedule:
        """What the training loop takes of it."""
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_chunks,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            clip_norm=CLIP_NORM,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Streams:
    """Where a training draws from.

    Attributes:
        order: Order of the chunks.
        cuts: Where chunks begin.
        dropout: Dropout.
    """

    order: torch.Generator
    cuts: torch.Generator
    dropout: torch.Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One network to train.

    Attributes:
        network: Freshly initialised.
        train: Windows to train on.
        val: Windows that are scored after each epoch; None where nothing can be judged, and the
            weights of the last epoch are kept.
        goal: What to train for.
        plan: Epochs, rates, sizes.
        streams: Where to draw from.
    """

    network: BeamNetwork
    train: Windows
    val: Windows | None
    goal: Goal
    plan: Plan
    streams: Streams


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        network: The network, with its best weights.
        scores: Of these weights on the validation split, as `score` gives them, if there is one.
        core_seconds: CPU time of the training, without validation [s].
        passes: What was trained on, over all epochs.
    """

    network: BeamNetwork
    scores: dict[str, float]
    core_seconds: float
    passes: Passes


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherOutputs:
    """What a teacher says of the predicted slots of all training windows.

    Attributes:
        logits_WTC: Logits.
        features_WTH: Output features.
        passes: What it was run on to say so.
    """

    logits_WTC: Tensor
    features_WTH: Tensor
    passes: Passes = field(default_factory=Passes)


def labels_only(task_loss: TaskLoss) -> Goal:
    """Return the goal of a training without a teacher."""

    def terms(outputs: BeamOutputs, labels_BT: Tensor, _chosen_B: Tensor) -> Terms:
        task = task_loss(outputs.logits, labels_BT)
        return {"total": task, "task": task}

    return Goal(terms=terms)


def blended(
    task_loss: TaskLoss,
    distil_loss: DistilLoss,
    alpha: float,
    modules: tuple[nn.Module, ...] = (),
) -> Goal:
    """Return the goal ``(1 - alpha) task + alpha distill``; at 0 it is `labels_only`."""
    if alpha == 0.0:
        return labels_only(task_loss)

    def terms(outputs: BeamOutputs, labels_BT: Tensor, chosen_B: Tensor) -> Terms:
        task = task_loss(outputs.logits, labels_BT)
        distill = distil_loss(outputs, chosen_B)
        return blended_terms(task, distill, alpha=alpha)

    return Goal(terms=terms, modules=modules)


class Runner:
    """Runs a network on windows in training, and counts them.

    Args:
        network: The network.
        dropout: Where its dropout is drawn from.

    Attributes:
        passes: What was run so far.
    """

    def __init__(self, network: BeamNetwork, dropout: torch.Generator) -> None:
        self._network = network
        self._dropout = dropout
        self.passes = Passes()

    def run(self, windows: Windows, chosen_B: Tensor) -> BeamOutputs:
        """Return what the network says of the predicted slots of some windows."""
        gathered = windows.gathered(chosen_B)
        self.passes = self.passes + Passes.of(gathered)
        with drawing_from(self._dropout):
            return self._network.gathered(*gathered).predicted()


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train a network; yields a report after each epoch, with the scores it has by then.

    In the end it has the weights of its best epoch, see `SELECTED_BY`; of equals the first. Without
    windows to be scored on they are those of the last.

    Raises:
        DataError: If there are too few windows for one batch.
    """
    network, plan = job.network, job.plan
    chunks = Chunks(len(job.train), job.streams.cuts)
    if plan.batch_chunks > len(chunks):
        raise DataError(
            f"batch_chunks={plan.batch_chunks} is more than the {len(chunks)} chunks of "
            f"{len(job.train)} training windows: take more passages"
        )

    runner = Runner(network, job.streams.dropout)

    def objective(chunk_K: Tensor) -> Terms:
        chosen_B = chunks.windows(chunk_K)
        outputs = runner.run(job.train, chosen_B)
        return job.goal.terms(outputs, job.train.label_WT[chosen_B], chosen_B)

    best, spent = _Best(), 0.0
    for epoch in fit(
        [network, *job.goal.modules],
        objective,
        num_samples=len(chunks),
        schedule=plan.schedule,
        generator=job.streams.order,
    ):
        spent = epoch.core_seconds
        scores = {} if job.val is None else score(network, job.val)
        best.see(network, scores)
        losses = {f"train_{name}_loss": term for name, term in epoch.terms.items()}
        metrics = {**losses, **prefixed("val", scores)}
        yield Report(epoch=epoch.number, epochs=plan.epochs, metrics=metrics)
    best.restore(network)
    return Trained(network=network, scores=best.scores, core_seconds=spent, passes=runner.passes)


class _Best:
    """Keeps the weights of the best epoch and its scores; without scores neither."""

    def __init__(self) -> None:
        self.scores: dict[str, float] = {}
        self._weights: dict[str, Tensor] = {}

    def see(self, network: BeamNetwork, scores: dict[str, float]) -> None:
        if scores and (not self.scores or scores[SELECTED_BY] > self.scores[SELECTED_BY]):
            self.scores = scores
            self._weights = {name: part.clone() for name, part in network.state_dict().items()}

    def restore(self, network: BeamNetwork) -> None:
        if self._weights:
            network.load_state_dict(self._weights)


def run(network: BeamNetwork, windows: Windows) -> TeacherOutputs:
    """Return what a network says of windows in evaluation mode; its mode is restored."""
    was_training = network.training
    network.eval()
    parts, passes = [], Passes()
    try:
        with torch.no_grad():
            for part in batches(len(windows), EVALUATED_TOGETHER):
                gathered = windows.gathered(torch.arange(part.start, part.stop))
                passes = passes + Passes.of(gathered)
                parts.append(network.gathered(*gathered).predicted())
    finally:
        network.train(was_training)
    return TeacherOutputs(
        logits_WTC=torch.cat([part.logits for part in parts]),
        features_WTH=torch.cat([part.output_features for part in parts]),
        passes=passes,
    )


def score(network: BeamNetwork, windows: Windows) -> dict[str, float]:
    """Return every score of some windows, see `scores_of`."""
    return scores_of(run(network, windows).logits_WTC, windows.label_WT, windows.condition_W)
