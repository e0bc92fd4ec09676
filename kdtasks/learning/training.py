"""The one training loop. It knows objectives and schedules, and no method by name."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from kdtasks.contract.effort import epochs_within
from kdtasks.contract.errors import UserError
from kdtasks.learning import device

Terms = dict[str, Tensor]
"""What a loss is made of: every term by name, and ``total``, which is what is minimised."""

Objective = Callable[[Tensor], Terms]
"""Maps the indices of a batch of training samples to the terms of the loss."""


class DivergedError(UserError):
    """The loss became infinite or NaN."""


RATE_SHARES = (1.0, 0.2, 0.04)
"""Shares of the peak rate: each lasts until validation no longer improves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plateau:
    """When validation counts as no longer improving.

    Attributes:
        epochs: So many epochs in a row without an improvement.
        gain: An improvement is by more than this.
    """

    epochs: int
    gain: float


class End:
    """Follows the validation score of a training, and ends it.

    Args:
        rule: When validation no longer improves; None never ends a training before its epochs.

    Attributes:
        rate_share: Share of the peak rate from now on.
        reached: Whether the training has ended.
    """

    def __init__(self, rule: "Plateau | None") -> None:
        self._rule = rule
        self._shares = iter(RATE_SHARES)
        self.rate_share = next(self._shares)
        self.reached = False
        self._best = math.inf
        self._waited = 0

    @property
    def capped(self) -> float:
        """1 if a plateau was wanted and not reached, else 0."""
        return float(self._rule is not None and not self.reached)

    def see(self, loss: float) -> None:
        """Take the validation loss after an epoch, of which less is better."""
        if self._rule is None or self.reached:
            return
        if loss < self._best - self._rule.gain:
            self._best, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited == self._rule.epochs:
            self._waited = 0
            share = next(self._shares, None)
            self.reached = share is None
            self.rate_share = share or self.rate_share


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Samples per step; an incomplete last batch is left out.
        learning_rate: Peak rate of Adam. It rises linearly over the warm-up and falls by a half
            cosine to ``final_share`` of the peak.
        rate_name: The parameter that sets it, for errors.
        warmup_steps: Steps of the rise.
        final_share: Rate at the end, as a share of the peak.
        weight_decay: Factor on the squares of the weights, half of which Adam adds to the loss.
        clip_norm: Gradients of a greater norm, over all parameters, are scaled down to this one.
        plateau: Ends the training; the rate then stays at its peak until the first plateau, and
            ``epochs`` are the most. None trains for all ``epochs``.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 100
    final_share: float = 0.01
    weight_decay: float = 0.0
    clip_norm: float = math.inf
    plateau: Plateau | None = None
    rate_name: str = "learning_rate"

    def rate_share(self, step: int, total_steps: int) -> float:
        """Return the rate at a step as a share of the peak, without what plateaus take off it."""
        rise = min(1.0, (step + 1) / max(1, min(self.warmup_steps, total_steps // 2)))
        if self.plateau is not None:
            return rise
        fall = 0.5 * (1.0 + math.cos(math.pi * step / max(1, total_steps)))
        return rise * (self.final_share + (1.0 - self.final_share) * fall)

    def end(self) -> "End":
        """Return what decides when a training of this schedule ends."""
        return End(self.plateau)


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """One pass over the training split.

    Attributes:
        number: From 1.
        terms: Mean of every term of the loss.
        core_seconds: CPU time of all epochs so far [s].
        samples: Samples trained on in all epochs so far.
    """

    number: int
    terms: dict[str, float]
    core_seconds: float
    samples: int


def at_effort(schedule: Schedule, settings: Any, flop_of: Callable[[int], float]) -> Schedule:
    """Return a schedule of the effort of a trial.

    Args:
        schedule: The schedule with the epochs that the trial sets.
        settings: `EffortSettings` of the trial.
        flop_of: Operations of the student's whole training for a number of epochs.

    Raises:
        ConfigError: If not even one epoch fits into ``effort_gflop``.
    """
    if settings.effort == "gflop":
        return replace(schedule, epochs=epochs_within(settings, flop_of))
    if settings.effort == "plateau":
        rule = Plateau(epochs=settings.plateau_epochs, gain=settings.plateau_gain)
        return replace(schedule, epochs=settings.plateau_cap, plateau=rule)
    return schedule


def fit(  # noqa: PLR0913 - one argument per part of a training
    trained: Iterable[nn.Module],
    objective: Objective,
    *,
    num_samples: int,
    schedule: Schedule,
    generator: torch.Generator,
    rate_shares: Sequence[float] = (),
    end: End | None = None,
) -> Iterator[Epoch]:
    """Train modules with Adam; yields after each epoch.

    Args:
        trained: Modules whose parameters are trained; they are put in training mode.
        objective: Gives the terms of the loss for a batch of sample indices.
        num_samples: Samples of the training split.
        schedule: Epochs, batch size, learning rate.
        generator: Source of the order of samples.
        rate_shares: Share of the learning rate for each module; empty for the whole rate.
        end: Of the schedule; takes the validation loss from the caller between two epochs. None
            trains for all epochs.

    Raises:
        DivergedError: If the loss is not finite.
        UserError: If one batch is larger than the training split.
    """
    steps = num_samples // schedule.batch_size
    if steps == 0:
        raise UserError(
            f"batch_size={schedule.batch_size} is larger than the {num_samples} training samples"
        )
    modules = list(trained)
    parameters = [p for module in modules for p in module.parameters()]
    end = end or End(None)
    optimiser, pace = _optimiser(modules, schedule, rate_shares, end, steps * schedule.epochs)
    spent, zero, first = 0.0, torch.zeros(()), Terms()
    for number in takewhile(lambda _: not end.reached, range(1, schedule.epochs + 1)):
        start = time.process_time()
        for module in modules:
            module.train()
        with device.on_host():
            order = torch.randperm(num_samples, generator=generator)
        sums: dict[str, Tensor] = {}
        for step in range(steps):
            index_B = order[step * schedule.batch_size : (step + 1) * schedule.batch_size]
            with device.step():
                terms = objective(index_B)
            first = first or {name: term.detach() for name, term in terms.items()}
            optimiser.zero_grad(set_to_none=True)
            terms["total"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            if math.isfinite(schedule.clip_norm):
                nn.utils.clip_grad_norm_(parameters, schedule.clip_norm)
            optimiser.step()
            pace.step()
            for name, term in terms.items():
                sums[name] = sums.get(name, zero) + term.detach()
        means = {name: total_ / steps for name, total_ in device.numbers(sums).items()}
        _check_finite(number, means["total"], first, schedule)
        spent += time.process_time() - start
        samples = number * steps * schedule.batch_size
        yield Epoch(number=number, terms=dict(means), core_seconds=spent, samples=samples)


def _check_finite(number: int, loss: float, first: Terms, schedule: Schedule) -> None:
    """Check that the loss of an epoch is finite.

    Args:
        number: The epoch.
        loss: Its mean.
        first: Terms of the very first batch, before any step.
        schedule: Of the training.

    Raises:
        DivergedError: If it is not; names the rate, or terms that no rate can help.
    """
    if math.isfinite(loss):
        return
    values = device.numbers(first)
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if not wrong:
        raise DivergedError(
            f"the loss became {loss} in epoch {number}; "
            f"lower {schedule.rate_name}={schedule.learning_rate:g}"
        )
    named = ", ".join(name for name in wrong if name != "total" or len(wrong) == 1)
    raise DivergedError(
        f"the loss ({named}) of the first batch is {values['total']} before any step, so no "
        f"{schedule.rate_name} helps: the network's outputs or the loss of them are not finite; "
        "keep logarithms, roots and divisions away from 0"
    )


def _optimiser(
    modules: Sequence[nn.Module],
    schedule: Schedule,
    shares: Sequence[float],
    end: End,
    total: int,
) -> tuple[torch.optim.Adam, LambdaLR]:
    """Return Adam over the modules' parameters, and what sets its rate in each of ``total`` steps.

    Args:
        modules: What is trained.
        schedule: Rates.
        shares: A share of the rate for each module; empty for the whole rate.
        end: What plateaus take off the rate.
        total: Steps.
    """
    rates = [share * schedule.learning_rate for share in shares]
    groups: list[dict[str, Any]] = (
        [
            {"params": list(module.parameters()), "lr": rate}
            for module, rate in zip(modules, rates, strict=True)
        ]
        if shares
        else [{"params": [p for module in modules for p in module.parameters()]}]
    )
    optimiser = torch.optim.Adam(
        groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    return optimiser, LambdaLR(
        optimiser, lambda step: end.rate_share * schedule.rate_share(step, total)
    )


def batches(num_samples: int, size: int = 500) -> Iterator[slice]:
    """Cut a split into slices for evaluation."""
    for start in range(0, num_samples, size):
        yield slice(start, min(start + size, num_samples))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, without gradient; its mode is restored afterwards."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(was_training)


def run_frozen(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return a module's outputs in evaluation mode, without gradient; its mode is restored."""
    with evaluating(module):
        return torch.cat([module(inputs[part]) for part in batches(len(inputs))])
