"""A training of one network: a report per epoch, and in the end the weights of the best epoch."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import leaving
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Report, prefixed
from kdtasks.learning.training import Objective, Schedule, fit

Network = TypeVar("Network", bound=nn.Module)
T = TypeVar("T")

Scores = Mapping[str, float]


class BestEpoch:
    """Keeps the weights and scores of the epoch with the greatest merit; of equals the first.

    Args:
        network: The network that is trained.

    Attributes:
        scores: Those of the best epoch; without merits those of the last.
    """

    def __init__(self, network: nn.Module) -> None:
        self.scores: Scores = {}
        self._network, self._merit = network, float("-inf")
        self._weights: dict[str, Tensor] = {}

    def offer(self, scores: Scores, merit: float | None) -> None:
        """Take in the epoch that has just ended.

        Args:
            scores: Of the network as it is now.
            merit: The greater the better; None where epochs are not compared.
        """
        if merit is not None and merit > self._merit:
            self.scores, self._merit = scores, merit
            self._weights = {n: part.clone() for n, part in self._network.state_dict().items()}
        elif not self._weights:
            self.scores = scores

    def restore(self) -> None:
        """Load the weights of the best epoch; without merits the last ones stay."""
        if self._weights:
            self._network.load_state_dict(self._weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job(Generic[Network]):
    """One network to train.

    Attributes:
        network: Freshly initialised, or trained so far.
        objective: Terms of the loss from the indices of samples.
        num_samples: Samples of an epoch.
        schedule: Epochs, rates, sizes.
        order: Where the order of samples is drawn from.
        modules: What is trained beside the network, and dropped afterwards.
        parts: What of the network is trained; empty for all of it.
        rate_shares: Share of the learning rate for each of ``parts``; empty for the whole rate.
        score: Scores of the network on the validation split, after each epoch; None at a node,
            which has none. What is learnt does not depend on them.
        merit: Chooses the epoch whose weights stay, that of the greatest merit, from the network
            and its scores; None for the last epoch. A schedule with a plateau needs one.
    """

    network: Network
    objective: Objective
    num_samples: int
    schedule: Schedule
    order: torch.Generator
    modules: Sequence[nn.Module] = ()
    parts: Sequence[nn.Module] = ()
    rate_shares: Sequence[float] = ()
    score: Callable[[Network], Scores] | None = None
    merit: Callable[[Network, Scores], float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained(Generic[Network]):
    """A finished training.

    Attributes:
        network: The network, with the weights that were chosen.
        scores: Of these weights on the validation split; empty without one.
        core_seconds: CPU time of the training, without validation [s].
        samples: Samples that it was trained on, repetitions included.
        epochs: Passes over the samples.
        capped: 1 if it should have ended at a plateau and did not, else 0.
    """

    network: Network
    scores: Scores
    core_seconds: float
    samples: int
    epochs: int
    capped: float

    def effort(self, flops: float, teacher_flops: float = 0.0) -> dict[str, float]:
        """Return `EFFORT_METRICS` of this training.

        Args:
            flops: Operations of the training, forward and backward.
            teacher_flops: Operations of a teacher that was run meanwhile, not among these.
        """
        return {
            "train_core_seconds": self.core_seconds,
            "train_samples": float(self.samples),
            "train_gflop": flops / 1e9,
            "teacher_forward_gflop": teacher_flops / 1e9,
            "train_epochs": float(self.epochs),
            "train_capped": self.capped,
        }


def together(trainings: Sequence[Trained[Network]]) -> Trained[Network]:
    """Return the last of several trainings, with the effort of all."""
    return replace(
        trainings[-1],
        core_seconds=sum(one.core_seconds for one in trainings),
        samples=sum(one.samples for one in trainings),
        epochs=sum(one.epochs for one in trainings),
        capped=max(one.capped for one in trainings),
    )


def train(job: Job[Network]) -> Generator[Report, None, Trained[Network]]:
    """Train a network; yields a report after each epoch, of the network as it is by then."""
    network, best, end = job.network, BestEpoch(job.network), job.schedule.end()
    for epoch in fit(
        [*(job.parts or [network]), *job.modules],
        job.objective,
        num_samples=job.num_samples,
        schedule=job.schedule,
        generator=job.order,
        rate_shares=job.rate_shares,
        end=end,
    ):
        scores = {} if job.score is None else job.score(network)
        merit = None if job.merit is None else job.merit(network, scores)
        best.offer(scores, merit)
        if merit is not None:
            end.see(-merit)
        losses = {f"train_{name}_loss": term for name, term in epoch.terms.items()}
        trained = Trained(
            network=network,
            scores=scores,
            core_seconds=epoch.core_seconds,
            samples=epoch.samples,
            epochs=epoch.number,
            capped=end.capped,
        )
        yield Report(
            epoch=epoch.number,
            epochs=job.schedule.epochs,
            metrics={**losses, **prefixed("val", scores)},
            left=partial(replace, trained),
        )
    best.restore()
    return replace(trained, scores=best.scores)


def numbered(
    training: Generator[Report, None, T],
    *,
    number: int = 0,
    count: int = 1,
    before: int = 0,
    planned: int = 0,
) -> Generator[Report, None, T]:
    """Number the epochs of a training through, as one of several stages.

    Args:
        training: The training.
        number: Which of ``count`` equally long stages this is, from 0.
        count: How many of these there are.
        before: Epochs of other stages before all these.
        planned: Epochs of all stages; 0 for those before and these.
    """

    def change(report: Report) -> Report:
        done = before + number * report.epochs + report.epoch
        return replace(report, epoch=done, epochs=planned or before + count * report.epochs)

    return forwarded(training, change)


def train_generations(
    train_one: Callable[[int, T | None], Generator[Report, None, Trained[Network]]],
    ask: Callable[[Network], T],
    count: int,
) -> Generator[Report, None, Trained[Network]]:
    """Train generations of a network, each taught by the outputs of the one before.

    Args:
        train_one: Trains a generation, from 0, given the outputs of the one before; of the first
            there are none.
        ask: Returns the outputs of a generation on the training samples.
        count: Generations.

    Returns:
        The last generation, with the effort of all.
    """
    outputs, before = None, list[Trained[Network]]()
    for number in range(count):
        training = numbered(train_one(number, outputs), number=number, count=count)
        trained = yield from leaving(training, lambda last: together([*before, last]))
        before[:] = [trained]
        if number + 1 < count:
            outputs = ask(trained.network)
    return trained
