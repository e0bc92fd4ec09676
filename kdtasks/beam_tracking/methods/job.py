"""What a method of beam tracking is given: windows, a goal, random streams.

Shape suffixes in this file: W = windows of a split, B = windows of a batch, T = predicted slots,
C = beams, H = output features.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from kdtasks.beam_tracking.methods.batches import Chunks, Passes, Windows
from kdtasks.beam_tracking.models.network import BeamNetwork, BeamOutputs
from kdtasks.contract.errors import DataError
from kdtasks.learning.jobs import Job
from kdtasks.learning.losses import blended_terms
from kdtasks.learning.random import drawing_from
from kdtasks.learning.training import Schedule, Terms, batches, evaluating
from kdtasks.sensing.beams.metrics import scores_of

schedule = partial(Schedule, clip_norm=10.0)
"""Gradients are cut to this norm, as in the code of Table II; a batch is of chunks."""

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
        network: The network.
        passes: What was run so far.
    """

    def __init__(self, network: BeamNetwork, dropout: torch.Generator) -> None:
        self.network = network
        self._dropout = dropout
        self.passes = Passes()

    def run(self, windows: Windows, chosen_B: Tensor) -> BeamOutputs:
        """Return what the network says of the predicted slots of some windows."""
        gathered = windows.gathered(chosen_B)
        self.passes = self.passes + Passes.of(gathered)
        with drawing_from(self._dropout):
            return self.network.gathered(*gathered).predicted()


def job_on(
    runner: Runner,
    train: Windows,
    val: Windows | None,
    goal: Goal,
    plan: Schedule,
    streams: Streams,
) -> Job[BeamNetwork]:
    """Return a training on windows, which leaves the weights of the best epoch, see `SELECTED_BY`.

    Args:
        runner: The network, freshly initialised.
        train: Windows to train on.
        val: Windows that are scored after each epoch; None keeps the weights of the last one.
        goal: What to train for.
        plan: Epochs, rates, chunks per step.
        streams: Where to draw from.

    Raises:
        DataError: If there are too few windows for one batch.
    """
    chunks = Chunks(len(train), streams.cuts)
    if plan.batch_size > len(chunks):
        raise DataError(
            f"batch_chunks={plan.batch_size} is more than the {len(chunks)} chunks of "
            f"{len(train)} training windows: take more passages"
        )

    def objective(chunk_K: Tensor) -> Terms:
        chosen_B = chunks.windows(chunk_K)
        outputs = runner.run(train, chosen_B)
        return goal.terms(outputs, train.label_WT[chosen_B], chosen_B)

    return Job(
        network=runner.network,
        objective=objective,
        num_samples=len(chunks),
        schedule=plan,
        order=streams.order,
        modules=goal.modules,
        score=None if val is None else partial(score, windows=val),
        merit=None if val is None else lambda _, scores: scores[SELECTED_BY],
    )


def run(network: BeamNetwork, windows: Windows) -> TeacherOutputs:
    """Return what a network says of windows in evaluation mode; its mode is restored."""
    parts, passes = [], Passes()
    with evaluating(network):
        for part in batches(len(windows), EVALUATED_TOGETHER):
            gathered = windows.gathered(torch.arange(part.start, part.stop))
            passes = passes + Passes.of(gathered)
            parts.append(network.gathered(*gathered).predicted())
    return TeacherOutputs(
        logits_WTC=torch.cat([part.logits for part in parts]),
        features_WTH=torch.cat([part.output_features for part in parts]),
        passes=passes,
    )


def score(network: BeamNetwork, windows: Windows) -> dict[str, float]:
    """Return every score of some windows, see `scores_of`."""
    return scores_of(run(network, windows).logits_WTC, windows.label_WT, windows.condition_W)
