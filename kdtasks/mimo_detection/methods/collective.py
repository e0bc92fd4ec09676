"""Sequential training of the collective detector, and what its layers do meanwhile.

The manufacturer's side of Learngene: one network goes through a stream of tasks, one after the
other; what it does to earlier ones is its forgetting. After Wang et al. (AAAI 2022), Section 4;
replay is ours.

Shape suffixes in this file: B = channel uses, T = tasks, U = units.

A collective that grows: more channels before the next task, the same function at first.

Wang et al. (AAAI 2022) widen a layer before every task by copies of its units, after Net2Net (Chen
et al., 2016). Here all layers share one map, so all of it is widened at once, and new channels are
fresh ones that nothing listens to yet: two copies of a channel would get the same step from Adam
for ever, unless noise distinguished them, and then the function would not be quite the same.

Shape suffixes in this file: W = channels, F = node channels.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdtasks.contract.task import Report
from kdtasks.learning.device import to_array
from kdtasks.learning.jobs import Job, numbered, together
from kdtasks.learning.jobs import train as train_job
from kdtasks.learning.meta import MetaPlan, combined
from kdtasks.learning.training import Objective, Schedule, Terms
from kdtasks.mimo_detection.methods.job import STEPS, Trained, bits_only, on_samples, train
from kdtasks.mimo_detection.methods.samples import EvaluationSamples, Samples
from kdtasks.mimo_detection.models.conv import ConvNet
from kdtasks.mimo_detection.models.family import DetectorNet
from kdtasks.mimo_detection.models.features import NODE_CHANNELS


def widened(network: DetectorNet, wider: DetectorNet) -> ConvNet:
    """Let a wider network compute what a narrower one does; return the wider one.

    Channels w of the narrower one become the first of the wider one. Weights from new channels to
    old ones and to the head become zero; those to new channels stay as they are.

    Args:
        network: Of convolutions and of one width, so that it has no adapters.
        wider: The same but for its width; changed in place.
    """
    assert isinstance(network, ConvNet)
    assert isinstance(wider, ConvNet)
    width = network.head.width
    mean_W, diagonal_W = torch.arange(width), wider.head.width + torch.arange(width)
    node_F = 2 * wider.head.width + torch.arange(NODE_CHANNELS)
    with torch.no_grad():
        for before, after in zip(network.layers, wider.layers, strict=True):
            for old, new in zip(_dense(before), _dense(after), strict=True):
                _put(old, new, torch.arange(old.in_features))
        inputs = torch.cat([mean_W, diagonal_W, node_F])
        for old, new in zip(_dense(network.head), _dense(wider.head), strict=True):
            _put(old, new, inputs)
            inputs = torch.arange(old.out_features)
        wider.gain.copy_(network.gain)
    return wider


def _dense(layer: nn.Module) -> list[nn.Linear]:
    return [part for part in layer.modules() if isinstance(part, nn.Linear)]


def _put(old: nn.Linear, new: nn.Linear, inputs: Tensor) -> None:
    """Put weights into the first rows of ``new``, which then take nothing but ``inputs``."""
    rows = old.out_features
    new.weight[:rows] = 0.0
    new.weight[:rows, inputs] = old.weight
    if old.bias is not None:
        new.bias[:rows] = old.bias


LARGE_GRADIENT = 1e-4
"""Entries of a gradient above this are large ones."""

FISHER_BATCHES, FISHER_SIZE = 16, 16
"""Batches of a task, and channel uses of each, from which the Fisher information is estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One task of the stream.

    Attributes:
        samples: What is trained on.
        judged: What the task is judged on.
        schedule: Steps and rates.
        wider: Builds a fresh network of the width with which the task is learnt; None for that of
            the task before.
    """

    samples: Samples
    judged: EvaluationSamples
    schedule: Schedule
    wider: Callable[[], DetectorNet] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Collective:
    """A collective model.

    Attributes:
        network: After the last task.
        ratios_TT: BER of task j (column) after task k (row) was learnt; NaN before task j was.
        weight_change_TU: Norm of the change of a unit's weights over a task, relative to the
            weights before it.
        gradient_share_TU: Share of entries of a unit's gradient that are large, mean over steps.
        effort: `EFFORT_METRICS` of the training.
    """

    network: DetectorNet
    ratios_TT: NDArray[np.float64]
    weight_change_TU: NDArray[np.float32]
    gradient_share_TU: NDArray[np.float32]
    effort: Mapping[str, float]

    @property
    def forgetting(self) -> NDArray[np.float64]:
        """Growth of the BER of each task since it was learnt, shape [T]; below 0 it is a gain."""
        return np.asarray(self.ratios_TT[-1] - self.ratios_TT.diagonal())


def learn_stream(
    network: DetectorNet,
    lessons: Sequence[Lesson],
    *,
    macs_of: Callable[[DetectorNet], int],
    replay_share: float,
    order: torch.Generator,
) -> Generator[Report, None, Collective]:
    """Train a network on one task after the other; yields a report every `STEPS` steps.

    Args:
        network: Freshly initialised; of convolutions, if it is to be widened.
        lessons: The tasks.
        macs_of: Multiply-accumulates of training a network, per channel use.
        replay_share: Weight of a batch of an earlier task, drawn anew for every step, whose size
            is the same share of the task's own.
        order: Draws the order of samples, and which task is replayed.
    """
    count = len(lessons)
    ratios_TT, flops, done = np.full((count, count), np.nan), 0.0, 0
    changes, shares, trainings = [], [], []
    total = sum(lesson.schedule.epochs for lesson in lessons)
    for number, lesson in enumerate(lessons):
        if lesson.wider is not None:
            network = widened(network, lesson.wider())
        before = _flats(network)
        objective = on_samples(network, lesson.samples, bits_only)
        if number and replay_share > 0.0:
            earlier = [on_samples(network, old.samples, bits_only) for old in lessons[:number]]
            objective = _replayed(objective, earlier, replay_share, order)
        job = Job(
            network=network,
            objective=objective,
            num_samples=STEPS * lesson.schedule.batch_size,
            schedule=lesson.schedule,
            order=order,
        )
        with large_gradients(list(network.units.values())) as counts:
            training = train(job, lesson.judged)
            trained, _ = yield from numbered(training, before=done, planned=total)
        done += lesson.schedule.epochs
        trainings.append(trained)
        seen = trained.samples * (1.0 + (replay_share if number else 0.0))
        flops += 2.0 * macs_of(network) * seen
        shares.append(counts.shares())
        changes.append([_change(*pair) for pair in zip(before, _flats(network), strict=True)])
        for seen, old in enumerate(lessons[: number + 1]):
            ratios_TT[number, seen] = old.judged.errors(network).ratio
    return Collective(
        network=network,
        ratios_TT=ratios_TT,
        weight_change_TU=np.array(changes, dtype=np.float32),
        gradient_share_TU=np.array(shares, dtype=np.float32),
        effort=together(trainings).effort(flops),
    )


def learn_together(
    network: DetectorNet,
    lessons: Sequence[Lesson],
    plan: MetaPlan,
    *,
    order: torch.Generator,
) -> Generator[Report, None, Trained]:
    """Train a network on all tasks at once, on as many batches as `learn_stream` takes.

    Each step draws a task. With one inner step of Reptile it is trained on a batch of that; with
    more, or by first-order MAML, it learns to adapt, see `kdtasks.learning.meta`.

    Args:
        network: Freshly initialised.
        lessons: The tasks; the schedule of the first is lengthened to all.
        plan: How they are learnt; a multiple of its batches makes up the epochs of all tasks.
        order: Draws tasks.
    """
    schedule = lessons[0].schedule
    size, total = schedule.batch_size, sum(lesson.schedule.epochs for lesson in lessons)
    each = [on_samples(network, lesson.samples, bits_only) for lesson in lessons]
    places = list(torch.arange(len(lessons) * size).view(len(lessons), size))

    def of_task(chosen_B: Tensor) -> Terms:
        return each[int(chosen_B[0]) // size](chosen_B)

    job = Job(
        network=network,
        objective=combined(of_task, [network], plan, places, size, order),
        num_samples=STEPS * size,
        schedule=replace(schedule, epochs=total // plan.batches),
        order=order,
    )
    trained = yield from train_job(job)
    return replace(trained, samples=plan.batches * trained.samples)


class GradientCounts:
    """Counts large entries of gradients while a network is trained.

    Args:
        units: Whose gradients.
    """

    def __init__(self, units: Sequence[nn.Module]) -> None:
        self.large = [torch.zeros((), dtype=torch.int64) for _ in units]
        self.seen = [0 for _ in units]

    def add(self, unit: int, gradient: Tensor) -> None:
        """Count one gradient of one of a unit's parameters."""
        self.large[unit] += (gradient.abs() > LARGE_GRADIENT).sum()
        self.seen[unit] += gradient.numel()

    def shares(self) -> list[float]:
        """Return the share of large entries of each unit."""
        return [
            float(large) / max(1, seen) for large, seen in zip(self.large, self.seen, strict=True)
        ]


@contextmanager
def large_gradients(units: Sequence[nn.Module]) -> Iterator[GradientCounts]:
    """Count large entries of all gradients within the context, before any clipping."""
    counts = GradientCounts(units)

    def counting(unit: int) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            counts.add(unit, parameter.grad)

        return hook

    handles = [
        parameter.register_post_accumulate_grad_hook(counting(number))  # type: ignore[no-untyped-call]
        for number, unit in enumerate(units)
        for parameter in unit.parameters()
    ]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def importance(network: DetectorNet, lessons: Sequence[Lesson]) -> dict[str, NDArray[np.float32]]:
    r"""Estimate the diagonal of the Fisher information of a network, over all tasks alike.

    Near a minimum, gradients of single samples have mean zero, so the variance of the mean
    gradient of a batch is that of one sample over the size of the batch:

    .. math:: F_i \approx B \; \mathrm{mean}_\mathrm{batches} (\partial_i \bar\ell)^2

    Kirkpatrick et al. (2017) take single samples, which costs B times as much.

    Args:
        network: Trained.
        lessons: The tasks; new samples are drawn from each.

    Returns:
        F under ``name of the unit/parameter``.
    """
    sums = [[torch.zeros_like(p) for p in unit.parameters()] for unit in network.units.values()]
    chosen_B = torch.arange(FISHER_SIZE)
    for lesson in lessons:
        objective = on_samples(network, lesson.samples, bits_only)
        for _ in range(FISHER_BATCHES):
            network.zero_grad(set_to_none=True)
            objective(chosen_B)["total"].backward()  # type: ignore[no-untyped-call]
            for unit, totals in zip(network.units.values(), sums, strict=True):
                for parameter, total in zip(unit.parameters(), totals, strict=True):
                    if parameter.grad is not None:
                        total += parameter.grad.square()
    network.zero_grad(set_to_none=True)
    factor = FISHER_SIZE / (FISHER_BATCHES * len(lessons))
    return {
        f"{unit_name}/{name}": to_array(factor * total)
        for (unit_name, unit), totals in zip(network.units.items(), sums, strict=True)
        for (name, _), total in zip(unit.named_parameters(), totals, strict=True)
    }


def _replayed(
    objective: Objective, earlier: Sequence[Objective], share: float, order: torch.Generator
) -> Objective:
    def with_replay(chosen_B: Tensor) -> Terms:
        which = int(torch.randint(len(earlier), (), generator=order))
        size = max(1, round(share * len(chosen_B)))
        terms, old = objective(chosen_B), earlier[which](chosen_B[:size])
        total = (1.0 - share) * terms["total"] + share * old["total"]
        return {**terms, "total": total, "replay": old["total"]}

    return with_replay


def _flat(unit: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in unit.parameters()])


def _flats(network: DetectorNet) -> list[Tensor]:
    return [_flat(unit) for unit in network.units.values()]


def _change(before: Tensor, after: Tensor) -> float:
    return float((after - before).norm() / before.norm())
