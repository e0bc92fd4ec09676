"""From the settings of MIMO detection to a collective, what of it is sent, and an individual."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.jobs import Job
from kdtasks.learning.losses import anchored
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import load_state, state_arrays
from kdtasks.mimo_detection.data import local_source, received_of, source_of
from kdtasks.mimo_detection.link.bit_errors import BitErrors, compare
from kdtasks.mimo_detection.link.linear import lmmse
from kdtasks.mimo_detection.link.link import MimoLink, Received, transmit
from kdtasks.mimo_detection.link.symbols import decide
from kdtasks.mimo_detection.methods import job as mimo_job
from kdtasks.mimo_detection.methods.collective import Lesson
from kdtasks.mimo_detection.methods.job import LossOfBatch, penalised
from kdtasks.mimo_detection.methods.learngene import (
    STATISTICS,
    Segment,
    chosen,
    cut_out,
    inherited_units,
    opened,
    place,
    put_in,
    sealed,
    stack_of,
)
from kdtasks.mimo_detection.methods.samples import EvaluationSamples, Samples, fixed, stream
from kdtasks.mimo_detection.models.family import DetectorNet, Plan, build
from kdtasks.mimo_detection.settings import MimoSettings, first_guess

JUDGED_AT_DB = 15.0
JUDGED_USES = 2000
"""At which SNR, and on how many channel uses, a collective is judged after every link."""

SEGMENT = "segment"
"""Start and length of the inherited segment, among an individual's weights and in the message."""

GENE, COLLECTIVE, IMPORTANCE = "gene/", "collective/", "importance/"
"""What weights in a message belong to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What a server sends to an edge.

    Attributes:
        message: As it is sent; its length is what is counted [B].
        segment: The units that it is about.
        sent_params: Parameters of networks inside.
    """

    message: bytes
    segment: Segment
    sent_params: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Individual:
    """An individual before its training.

    Attributes:
        network: With what it has inherited.
        inherited: Units that it has inherited.
        teacher: The collective, where it teaches at the edge.
        importance: Of the inherited parameters, in their order, where they are penalised.
    """

    network: DetectorNet
    inherited: nn.ModuleList
    teacher: DetectorNet | None
    importance: tuple[Tensor, ...]


def linear_errors(link: MimoLink, seen: Received) -> BitErrors:
    """Return the bit errors of LMMSE."""
    return compare(decide(lmmse(seen), link.bits_per_axis), seen.bits_BNM)


def new_collective(settings: MimoSettings, plan: Plan) -> DetectorNet:
    """Build a collective of a plan; its weights follow from ``teacher_seed``."""
    return initialised(settings.teacher_seed, "collective", partial(build, plan))


def lessons_of(settings: MimoSettings) -> tuple[list[Lesson], list[float]]:
    """Return the tasks of the stream, and the BER of LMMSE on what each is judged on."""
    lessons, linear = [], []
    seed, input_features = settings.teacher_seed, settings.input_features
    for number, link in enumerate(settings.stream_links):
        source, _ = source_of(link, seed, f"collective task {number}")
        draws = torch_generator(seed, f"collective task {number}")
        judges = torch_generator(seed, f"collective task {number} judged")
        other, _ = source_of(link, seed, f"collective task {number} judged")
        at = (JUDGED_AT_DB, JUDGED_AT_DB)
        seen = transmit(link, other(JUDGED_USES, judges), at, judges)
        samples = stream(link, source, settings.snr_db, input_features, draws)
        rate = "stream_later_rate" if number else "stream_rate"
        lessons.append(
            Lesson(
                samples=samples,
                judged=EvaluationSamples(seen, input_features),
                schedule=replace(
                    mimo_job.schedule(
                        steps=settings.stream_steps,
                        batch_size=settings.stream_batch,
                        learning_rate=getattr(settings, rate),
                        cosine=True,
                    ),
                    rate_name=rate,
                ),
                wider=_wider(settings, number),
            )
        )
        linear.append(linear_errors(link, seen).ratio)
    return lessons, linear


def _wider(settings: MimoSettings, number: int) -> Callable[[], DetectorNet] | None:
    """Return what builds the network that a task of the stream is learnt with, if it is wider."""
    plans = settings.stream_plans
    if number == 0 or plans[number] == plans[number - 1]:
        return None
    return partial(new_collective, settings, plans[number])


def delivered(settings: MimoSettings, teacher: TeacherArtifact) -> Delivery:
    """Return what the server sends, for the method of a trial."""
    segment = _segment(settings, teacher.outputs)
    network = restored_collective(settings, teacher.weights)
    gene = cut_out(network, segment)
    arrays: dict[str, NDArray[Any]] = {}
    if settings.method == "learngene":
        arrays |= {f"{GENE}{name}": array for name, array in gene.items()}
    else:
        arrays |= {f"{COLLECTIVE}{name}": array for name, array in teacher.weights.items()}
    params = sum(array.size for array in arrays.values())
    if settings.inherits:
        arrays[SEGMENT] = np.array([segment.start, segment.length], dtype=np.int32)
        if settings.treatment == "ewc":
            arrays |= _importance(network, segment, teacher.outputs)
    return Delivery(message=sealed(arrays), segment=segment, sent_params=params)


def individual_of(settings: MimoSettings, delivery: Delivery | None) -> Individual:
    """Build an individual at an edge from what it has received, and from nothing else."""
    if delivery is None:
        network = _new_individual(settings, Segment(0, 1))
        return Individual(network=network, inherited=nn.ModuleList(), teacher=None, importance=())
    arrays = opened(delivery.message)
    whole = {
        name.removeprefix(COLLECTIVE): array
        for name, array in arrays.items()
        if name.startswith(COLLECTIVE)
    }
    expert = restored_collective(settings, whole) if whole else None
    if settings.method == "finetune":
        assert expert is not None
        units = nn.ModuleList(expert.units.values())
        return Individual(network=expert.train(), inherited=units, teacher=None, importance=())
    teacher = expert if settings.distils else None
    if not settings.inherits:
        network = _new_individual(settings, Segment(0, 1))
        units = nn.ModuleList()
        return Individual(network=network, inherited=units, teacher=teacher, importance=())
    start, length = arrays[SEGMENT].tolist()
    segment = Segment(start, length)
    network = _new_individual(settings, segment)
    units = nn.ModuleList(_inherited(settings, network, segment))
    gene = {
        name.removeprefix(GENE): array for name, array in arrays.items() if name.startswith(GENE)
    }
    put_in(list(units), gene or cut_out(_known(expert), segment))
    importance = tuple(
        torch.from_numpy(arrays[f"{IMPORTANCE}{name}"])
        for name, _ in units.named_parameters()
        if settings.treatment == "ewc"
    )
    return Individual(network=network, inherited=units, teacher=teacher, importance=importance)


def individual_job(
    settings: MimoSettings, individual: Individual, train: Arrays
) -> Job[DetectorNet]:
    """Return what an individual is trained by."""
    network, inherited = individual.network, list(individual.inherited.parameters())
    parts: tuple[nn.Module, ...] = ()
    shares: tuple[float, ...] = ()
    if settings.inherits and settings.treatment in ("slower", "frozen"):
        known = {id(parameter) for parameter in inherited}
        own = nn.ParameterList(p for p in network.parameters() if id(p) not in known)
        if settings.treatment == "slower":
            parts, shares = (own, nn.ParameterList(inherited)), (1.0, settings.gene_rate_share)
        else:
            individual.inherited.requires_grad_(False)
            parts = (own,)
    return Job(
        network=network,
        objective=mimo_job.on_samples(
            network, _local(settings, train), _loss(settings, individual, inherited)
        ),
        num_samples=mimo_job.STEPS * settings.batch_size,
        schedule=mimo_job.schedule(
            steps=settings.steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            cosine=settings.schedule == "cosine",
        ),
        order=torch_generator(settings.seed, "order"),
        parts=parts,
        rate_shares=shares,
    )


def individual_weights(
    settings: MimoSettings, network: DetectorNet, delivery: Delivery | None
) -> Arrays:
    """Return all that `restored_individual` needs beside the settings."""
    weights: dict[str, NDArray[Any]] = dict(state_arrays(network))
    if settings.inherits:
        assert delivery is not None
        segment = delivery.segment
        weights[SEGMENT] = np.array([segment.start, segment.length], dtype=np.int32)
    return weights


def restored_individual(settings: MimoSettings, weights: Arrays) -> DetectorNet:
    """Build an individual and load its weights."""
    segment = Segment(*weights[SEGMENT].tolist()) if SEGMENT in weights else Segment(0, 1)
    return _restored(
        partial(_new_individual, settings, segment),
        {name: array for name, array in weights.items() if name != SEGMENT},
    )


def restored_collective(settings: MimoSettings, weights: Arrays) -> DetectorNet:
    """Build a collective and load its weights."""
    return _restored(partial(new_collective, settings, settings.collective), weights)


def _restored(make: Callable[[], DetectorNet], weights: Arrays) -> DetectorNet:
    network = make()
    load_state(network, weights)
    return network.eval()


def _new_individual(settings: MimoSettings, segment: Segment) -> DetectorNet:
    return initialised(settings.seed, "individual", lambda: build(settings.individual(segment)))


def _known(network: DetectorNet | None) -> DetectorNet:
    assert network is not None
    return network


def _segment(settings: MimoSettings, outputs: Arrays) -> Segment:
    if not settings.inherits:
        return Segment(0, stack_of(settings.collective).total)
    if settings.gene_rule == "position":
        return first_guess(settings)
    return chosen(outputs[STATISTICS[settings.gene_rule]], first_guess(settings).length)


def _inherited(settings: MimoSettings, network: DetectorNet, segment: Segment) -> list[nn.Module]:
    start = place(segment, stack_of(settings.collective), stack_of(settings.own))
    return inherited_units(network, start, segment.length)


def _importance(network: DetectorNet, segment: Segment, outputs: Arrays) -> dict[str, NDArray[Any]]:
    names = list(network.units)[segment.start : segment.stop]
    return {
        f"{IMPORTANCE}{number}.{name}": outputs[f"{IMPORTANCE}{unit}/{name}"]
        for number, unit in enumerate(names)
        for name, _ in network.units[unit].named_parameters()
    }


def _local(settings: MimoSettings, train: Arrays) -> Samples:
    """Return what an edge trains on: some of its recorded channel uses, or ever new ones."""
    if not settings.num_samples:
        draws = torch_generator(settings.seed, "stream")
        source = local_source(settings, train)
        return stream(settings.link, source, settings.snr_db, settings.input_features, draws)
    recorded = received_of(train)
    order = torch.randperm(len(recorded), generator=torch_generator(settings.seed, "local samples"))
    return fixed(recorded[order[: settings.num_samples]], settings.input_features)


def _loss(
    settings: MimoSettings, individual: Individual, inherited: list[nn.Parameter]
) -> LossOfBatch:
    loss: LossOfBatch = mimo_job.bits_only
    if individual.teacher is not None:
        soft = mimo_job.soft_loss(settings.soft_loss, settings.temperature)
        loss = mimo_job.with_teacher(individual.teacher, soft, alpha=settings.alpha)
    if not individual.importance:
        return loss
    anchors = [parameter.detach().clone() for parameter in inherited]
    penalty = partial(anchored, inherited, anchors, individual.importance)
    return penalised(loss, penalty, settings.ewc_weight)
