"""What a method of beam tracking is given: windows, a goal, random streams.

Shape suffixes in this file: W = windows of a split, B = windows of a batch, T = predicted slots,
C = beams, H = output features.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kdtasks.beam_tracking.methods.batches import Chunks, Gathered, Passes, Windows
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.contract.errors import DataError
from kdtasks.learning.distillation import Goal, Outputs
from kdtasks.learning.jobs import Job
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

    def run(self, windows: Windows, chosen_B: Tensor) -> Outputs:
        """Return outputs of the predicted slots of some windows."""
        gathered = windows.gathered(chosen_B)
        self.passes = self.passes + Passes.of(gathered)
        with drawing_from(self._dropout):
            return _outputs(self.network, gathered)


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
        return goal.terms(runner.run(train, chosen_B), chosen_B)

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


def run(network: BeamNetwork, windows: Windows) -> tuple[Outputs, Passes]:
    """Return the outputs of a network in evaluation mode, and what was run; restores its mode."""
    parts, passes = [], Passes()
    with evaluating(network):
        for part in batches(len(windows), EVALUATED_TOGETHER):
            gathered = windows.gathered(part)
            passes = passes + Passes.of(gathered)
            parts.append(_outputs(network, gathered))
    return Outputs.joined(parts), passes


def _outputs(network: BeamNetwork, gathered: Gathered) -> Outputs:
    """Return logits [B, T, C] and output features [B, T, H] of the predicted slots."""
    found = network.gathered(*gathered).predicted()
    return Outputs(outputs=found.logits, features=found.output_features)


def score(network: BeamNetwork, windows: Windows) -> dict[str, float]:
    """Return every score of some windows, see `scores_of`."""
    logits_WTC = run(network, windows)[0].outputs
    return scores_of(logits_WTC, windows.label_WT, windows.condition_W)
