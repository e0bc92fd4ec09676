"""The two halves in turn; also sequential training, which stops after the user equipment's half."""

import copy
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch

from kdtasks.contract.task import Report
from kdtasks.csi_feedback.methods.ip_encoder_kd import bs, ue
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import Pairs
from kdtasks.csi_feedback.methods.job import (
    Job,
    Trained,
    TrainingStage,
    judged,
    report_distilling,
    report_end_to_end,
)
from kdtasks.csi_feedback.models.autoencoder import Autoencoder


@dataclass(frozen=True, kw_only=True, slots=True)
class _Learnt(Trained):
    """An encoder and the teacher's decoder, and what the base station has offered."""

    received: Pairs


def _user_equipment(job: Job, of: int) -> Generator[Report, None, _Learnt]:
    """Steps 1 and 2: the base station offers pairs and the user equipment learns them."""
    plan, teacher = job.plan, job.the_teacher()
    everything = torch.arange(len(job.train_N2AC))
    codewords_NM = teacher.codewords(job.train_N2AC, everything)
    received = bs.offer(job.train_N2AC, codewords_NM, bits=plan.pair_bits)
    schedule = plan.schedule(plan.encoder_epochs)
    end = schedule.end()

    def learnt() -> _Learnt:
        return _Learnt(
            autoencoder=Autoencoder(job.encoder, teacher.autoencoder.decoder),
            metrics={
                "distill_core_seconds": epoch.core_seconds,
                "train_capped": end.capped,
                "exchange_bytes": float(received.payload_bytes),
            },
            training_stages=(
                TrainingStage(samples=epoch.samples, encoder=3, decoder=0, epochs=epoch.number),
            ),
            received=received,
        )

    for epoch in ue.learn(
        job.encoder,
        received,
        loss=plan.codeword_loss,
        schedule=schedule,
        generator=job.generator,
        end=end,
    ):
        yield replace(judged(end, report_distilling(job, epoch, of=of)), left=learnt)
    return learnt()


def train(job: Job) -> Generator[Report, None, Trained]:
    """Exchange pairs both ways; the base station fine-tunes its decoder alone."""
    plan = job.plan
    of = plan.encoder_epochs + plan.finetune_epochs
    learnt = yield from _user_equipment(job, of)
    returned = ue.answer(job.encoder, learnt.received, bits=plan.pair_bits)
    decoder = copy.deepcopy(job.the_teacher().autoencoder.decoder).requires_grad_(True)
    model = Autoencoder(job.encoder, decoder)
    schedule = plan.schedule(plan.finetune_epochs, plan.finetune_rate)
    end, done = schedule.end(), learnt.training_stages[0].epochs

    def trained() -> Trained:
        return Trained(
            autoencoder=model,
            metrics={
                "distill_core_seconds": learnt.metrics["distill_core_seconds"],
                "finetune_core_seconds": epoch.core_seconds,
                "train_capped": max(learnt.metrics["train_capped"], end.capped),
                "exchange_bytes": float(learnt.received.payload_bytes + returned.payload_bytes),
            },
            training_stages=(
                *learnt.training_stages,
                TrainingStage(samples=len(job.train_N2AC), encoder=1, decoder=0),
                TrainingStage(samples=epoch.samples, encoder=0, decoder=3, epochs=epoch.number),
            ),
        )

    for epoch in bs.finetune(
        decoder, returned, schedule=schedule, generator=job.generator, end=end
    ):
        report = report_end_to_end(job, epoch, model, done=done, of=of)
        yield replace(judged(end, report), left=trained)
    return trained()


def train_sequential(job: Job) -> Generator[Report, None, Trained]:
    """Sequential training (Cui et al., section IV-C and Table XII): pairs go one way only."""
    return (yield from _user_equipment(job, job.plan.encoder_epochs))
