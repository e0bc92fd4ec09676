"""Meta-learning: a start from which a few steps of gradient descent lead far.

One step of it descends on batches of one area, ``phi_0 = theta``, ``phi_i+1 = phi_i - rate g_i``,
and needs no more than the gradients on the way (Nichol, Achiam, Schulman, "On first-order
meta-learning algorithms", arXiv 1803.02999, section 5.1):

- Reptile, their Algorithm 1: the mean of g_0 ... g_K-1, which is ``(theta - phi_K) / (K rate)``;
- first-order MAML (Finn, Abbeel, Levine, "Model-agnostic meta-learning", ICML 2017, section 5.2):
  g_K, the gradient after K steps, of a batch that none of them has seen.

What follows the gradient is whatever optimiser trains otherwise; both papers' outer loops differ
from the usual training in nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kdtasks.learning import device
from kdtasks.learning.training import Objective, Terms

Gradients = list[Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaPlan:
    """How a start is learnt.

    Attributes:
        rule: Which gradient of the descent is followed.
        inner_steps: Steps of descent, K.
        inner_rate: Their rate.
        weight: Of the meta term, in (0, 1]; the loss on a batch of all areas has the rest.
    """

    rule: Literal["reptile", "fomaml"]
    inner_steps: int
    inner_rate: float
    weight: float

    @property
    def path(self) -> int:
        """Batches of one area whose gradients a step takes."""
        return self.inner_steps + (self.rule == "fomaml")

    @property
    def batches(self) -> int:
        """All batches whose gradients a step takes; each costs what a step without this does."""
        return self.path + (self.weight < 1.0)


def combined(
    objective: Objective,
    modules: Sequence[nn.Module],
    plan: MetaPlan,
    areas: Sequence[Tensor],
    size: int,
    generator: torch.Generator,
) -> Objective:
    """Return an objective with gradient ``(1 - w) grad L(theta) + w g_meta`` and the value of L.

    Args:
        objective: L: task and distillation.
        modules: What is trained.
        plan: Of the meta term.
        areas: Indices of the samples of each area.
        size: Samples of a batch.
        generator: Draws areas and batches; the indices that the objective is given are not used.
    """
    everywhere = torch.cat(list(areas))

    def terms_of(_index_B: Tensor) -> Terms:
        with device.on_host():
            area = areas[int(torch.randint(len(areas), (), generator=generator))]
            path = drawn(area, plan.path, size, generator)
            pooled = drawn(everywhere, 1, size, generator) if plan.weight < 1.0 else []
        terms, gradients = path_gradient(objective, modules, path, plan)
        for index_B in pooled:
            terms, plain = _gradients(objective, modules, index_B)
            weights = (plan.weight, 1.0 - plan.weight)
            gradients = [
                weights[0] * meta + weights[1] * own
                for meta, own in zip(gradients, plain, strict=True)
            ]
        slope = sum(
            ((p * g).sum() for p, g in zip(_parameters(modules), gradients, strict=True)),
            start=torch.zeros(()),
        )
        return {**terms, "total": terms["total"] + slope - slope.detach()}

    return terms_of


def drawn(area_N: Tensor, count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return batches of an area; none shares a sample with another as long as there are enough."""
    rounds = -(-count * size // len(area_N))
    order = torch.cat([torch.randperm(len(area_N), generator=generator) for _ in range(rounds)])
    return [*area_N[order[: count * size].view(count, size)]]


def path_gradient(
    objective: Objective, modules: Sequence[nn.Module], path: Sequence[Tensor], plan: MetaPlan
) -> tuple[Terms, Gradients]:
    """Return the loss at the start, and the gradient to follow from there.

    Modules end as they begin, but for what they keep of a batch, such as the statistics of batch
    norm: they keep those of the first batch, which met the start itself.
    """
    parameters = _parameters(modules)
    start = [parameter.detach().clone() for parameter in parameters]
    first, total = _gradients(objective, modules, path[0])
    buffers = [buffer for module in modules for buffer in module.buffers()]
    kept, last = [buffer.clone() for buffer in buffers], total
    for index_B in path[1:]:
        _descend(parameters, last, plan.inner_rate)
        _, last = _gradients(objective, modules, index_B)
        total = [one + other for one, other in zip(total, last, strict=True)]
    with torch.no_grad():
        for now, before in zip([*parameters, *buffers], [*start, *kept], strict=True):
            now.copy_(before)
    return first, last if plan.rule == "fomaml" else [one / len(path) for one in total]


def _parameters(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def _gradients(
    objective: Objective, modules: Sequence[nn.Module], index_B: Tensor
) -> tuple[Terms, Gradients]:
    with device.step():
        terms = objective(index_B)
    found = torch.autograd.grad(
        terms["total"], _parameters(modules), allow_unused=True, materialize_grads=True
    )
    return {name: term.detach() for name, term in terms.items()}, list(found)


def _descend(parameters: Sequence[Tensor], gradients: Gradients, rate: float) -> None:
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=rate)
