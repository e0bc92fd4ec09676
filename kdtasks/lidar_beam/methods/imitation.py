"""A student imitates its teacher's logits on made-up windows.

Shape suffixes in this file: N = windows, B = windows of a batch, T = predicted slots, S = steps,
C = beams.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from kdtasks.learning.custom_loss import own_loss
from kdtasks.learning.distillation import Loss
from kdtasks.learning.losses import logit_mse, slot_kl
from kdtasks.learning.random import drawing_from
from kdtasks.learning.training import Objective, Terms, batches
from kdtasks.lidar_beam.methods.job import Judge, run
from kdtasks.lidar_beam.models.family import WINDOW_SHAPE
from kdtasks.lidar_beam.models.generator import ScanGenerator
from kdtasks.lidar_beam.models.network import LidarNetwork, LidarOutputs
from kdtasks.lidar_beam.models.objects import hand_set_objects, render
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS

SOFT_LOSSES = ("kl", "mse")
OUTPUTS_SHAPE = (4, NUM_SLOTS, NUM_BEAMS)
"""Of a batch of logits, on which a loss of the user's own is tried."""

TaughtSteps = Literal["last", "all"]
"""The four predicted slots, or every step of a window."""

Source = Callable[[int], Tensor]
"""Makes up so many windows [10 m], [N, 8, 216]."""


def soft_loss(name: str, temperature: float) -> Loss:
    """Return a loss towards a teacher's logits; only ``kl`` has a temperature.

    Args:
        name: Of `SOFT_LOSSES`, or that of the user's own, see `own_loss`.
        temperature: Softens the logits of both.

    Raises:
        ConfigError: If there is no such loss, or it cannot be trained by.
    """
    if name == "kl":
        return partial(slot_kl, temperature=temperature)
    return logit_mse if name == "mse" else own_loss(name, OUTPUTS_SHAPE, SOFT_LOSSES)


def gaussian(draws: torch.Generator) -> Source:
    """Return windows of independent normal numbers: no knowledge at all."""
    return lambda count: torch.randn(count, *WINDOW_SHAPE, generator=draws)


def hand_set(draws: torch.Generator) -> Source:
    """Return objects set by hand: knowledge of scanners and this traffic, none of the teacher."""
    return lambda count: render(hand_set_objects(count, draws))


def generated(generator: ScanGenerator, draws: torch.Generator) -> Source:
    """Return what a generator makes of new noise."""
    generator.eval()

    def source(count: int) -> Tensor:
        with torch.no_grad():
            made: Tensor = generator(torch.randn(count, generator.noise_size, generator=draws))
        return made

    return source


def logits_of(outputs: LidarOutputs, steps: TaughtSteps) -> Tensor:
    """Return the logits that are taught."""
    return outputs.predicted if steps == "last" else outputs.logits


def taught_logits(teacher: LidarNetwork, scan_NTR: Tensor, steps: TaughtSteps) -> Tensor:
    """Return the logits of a network that are taught."""
    parts = (scan_NTR[part] for part in batches(len(scan_NTR)))
    return logits_of(run(teacher, parts), steps)


class Lesson:
    """Windows from a source, and a teacher's logits of them.

    Args:
        teacher: Is asked about every window once.
        source: Where windows come from.
        soft: Loss towards the teacher's logits.
        steps: Which logits are taught.

    Attributes:
        queried: Windows that the teacher was run on.
    """

    def __init__(
        self, teacher: LidarNetwork, source: Source, soft: Loss, steps: TaughtSteps
    ) -> None:
        self._teacher = teacher
        self._source = source
        self._soft = soft
        self._steps = steps
        self.queried = 0

    def objective(
        self, network: LidarNetwork, dropout: torch.Generator, *, fixed: int
    ) -> Objective:
        """Return what a student is trained for: the teacher's logits, no labels.

        Args:
            network: The student.
            dropout: Where its dropout is drawn from.
            fixed: How many windows there are, made once; 0 for new ones in every step.
        """
        kept: list[tuple[Tensor, Tensor]] = []

        def objective(chosen_B: Tensor) -> Terms:
            if fixed and not kept:
                kept.append(self._taught(fixed))  # here, so that the first epoch's time has it
            if kept:
                scans, teacher_logits = (part[chosen_B] for part in kept[0])
            else:
                scans, teacher_logits = self._taught(len(chosen_B))
            with drawing_from(dropout):
                outputs = network(scans)
            distill = self._soft(logits_of(outputs, self._steps), teacher_logits)
            return {"total": distill, "distill": distill}

        return objective

    def judge(self, count: int) -> Judge:
        """Return the loss on windows of its own, the same after every epoch."""
        scans, teacher_logits = self._taught(count)

        def judge(network: LidarNetwork) -> float:
            return float(self._soft(taught_logits(network, scans, self._steps), teacher_logits))

        return judge

    def _taught(self, count: int) -> tuple[Tensor, Tensor]:
        scans = self._source(count)
        self.queried += count
        return scans, taught_logits(self._teacher, scans, self._steps)
