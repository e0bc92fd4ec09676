"""The floor of a sweep: the steps of its students in a loop that does nothing else.

The same networks, losses, rates and order of samples as the trials, with the teacher's outputs at
hand: a student comes out equal to that of the trial, number for number. There is no engine, no
report, no check; the one validation at the end is what a trial's objective needs.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdtasks.contract.params import Params
from kdtasks.contract.task import ScenarioData, TeacherArtifact
from kdtasks.csi_feedback.methods.job import Plan, soft_picture_loss
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRNetDecoder
from kdtasks.csi_feedback.settings import resolve
from kdtasks.csi_feedback.students import make_decoder, new_student, plan_of
from kdtasks.learning.losses import codeword_mse
from kdtasks.learning.metrics import nmse, relative_errors
from kdtasks.learning.random import torch_generator
from kdtasks.learning.tensors import as_tensor, load_state
from kdtasks.learning.training import Schedule, run_frozen

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class BareRun:
    """Cost and result of one student.

    Attributes:
        stages_s: CPU time of an epoch in every stage of the training, in order [s].
        validation_s: CPU time of one validation [s].
        val_nmse_db: Its result [dB].
    """

    stages_s: tuple[float, ...]
    validation_s: float
    val_nmse_db: float


def bare_run(params: Params, data: ScenarioData, teacher: TeacherArtifact) -> BareRun:
    """Train one student by autoencoder KD or encoder KD.

    Args:
        params: Parameters of the trial.
        data: Its scenario.
        teacher: Its teacher, with codewords and outputs of the training split.
    """
    settings = resolve(params)
    plan, student = plan_of(settings), new_student(settings, "")
    generator = torch_generator(settings.seed, "order")
    pictures = as_tensor(data.train["pictures"])
    if settings.method == "autoencoder-kd":
        targets = as_tensor(teacher.outputs["pictures"])
        spent = [whole(student, pictures, targets, plan, generator)]
    else:
        codewords = as_tensor(teacher.outputs["codewords"])
        decoder = make_decoder(settings)
        load_state(decoder, teacher.weights, "decoder.")
        spent = two_stages(student, (pictures, codewords), decoder, plan, generator)
    begin = time.process_time()
    val = as_tensor(data.val["pictures"])
    result = nmse(val, run_frozen(student, val)).decibel
    validation_s = time.process_time() - begin
    return BareRun(stages_s=tuple(spent), validation_s=validation_s, val_nmse_db=result)


def whole(
    student: Autoencoder, pictures: Tensor, targets: Tensor, plan: Plan, generator: torch.Generator
) -> float:
    """Train a whole autoencoder on pictures and the teacher's; return the CPU time per epoch."""

    def loss(index: Tensor) -> Tensor:
        batch = pictures[index]
        output = student(batch)
        task = relative_errors(batch, output).mean()
        soft = soft_picture_loss(output, targets[index], batch, plan)
        return (1.0 - plan.alpha) * task + plan.alpha * soft

    schedule = Schedule(
        epochs=plan.epochs, batch_size=plan.batch_size, learning_rate=plan.learning_rate
    )
    return trained(student, loss, len(pictures), schedule, generator)


def two_stages(
    student: Autoencoder,
    pairs: tuple[Tensor, Tensor],
    decoder: CRNetDecoder,
    plan: Plan,
    generator: torch.Generator,
) -> list[float]:
    """Train an encoder on pictures and codewords, then both ends; return CPU times per epoch."""
    pictures, codewords = pairs
    scale = float(codewords[:2000].var(dim=0).mean().clamp_min(1e-12))
    encoder = student.encoder

    def first_loss(index: Tensor) -> Tensor:
        return codeword_mse(encoder(pictures[index]), codewords[index]) / scale

    def second_loss(index: Tensor) -> Tensor:
        batch = pictures[index]
        return relative_errors(batch, student(batch)).mean()

    size = plan.batch_size
    first = Schedule(epochs=plan.encoder_epochs, batch_size=size, learning_rate=plan.learning_rate)
    second = Schedule(
        epochs=plan.finetune_epochs, batch_size=size, learning_rate=plan.finetune_rate
    )
    spent = [trained(encoder, first_loss, len(pictures), first, generator)]
    student.decoder = copy.deepcopy(decoder)
    spent.append(trained(student, second_loss, len(pictures), second, generator))
    return spent


def trained(
    module: nn.Module, loss: Loss, samples: int, schedule: Schedule, generator: torch.Generator
) -> float:
    """Take the steps of a schedule; return the CPU time per epoch [s]."""
    begin = time.process_time()
    module.train()
    optimiser = torch.optim.Adam(module.parameters(), lr=schedule.learning_rate)
    per_epoch = samples // schedule.batch_size
    done, total = 0, per_epoch * schedule.epochs
    for _ in range(schedule.epochs):
        order = torch.randperm(samples, generator=generator)[: per_epoch * schedule.batch_size]
        for index in order.split(schedule.batch_size):
            for group in optimiser.param_groups:
                group["lr"] = schedule.learning_rate * schedule.rate_share(done, total)
            optimiser.zero_grad(set_to_none=True)
            loss(index).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()
            done += 1
    return (time.process_time() - begin) / schedule.epochs
