"""CSI feedback in a network: what its nodes do in a topology.

The server is the base station, an edge is a user equipment. The student is an autoencoder: its
tensors ``encoder.*`` belong at the edge and ``decoder.*`` at the server. Knowledge travels as
models (3GPP TR 38.843 training Type 1) or as CSI-codeword pairs (Type 3).
"""

import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdtasks.contract.collaboration import (
    AnswersPairs,
    Guidance,
    Learnt,
    Place,
    ServesEachEdge,
    Shares,
    Stage,
    TensorSpec,
    Work,
    leaving,
    parted,
)
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.deployment import TopologyName
from kdtasks.contract.errors import UserError
from kdtasks.contract.gaussian_mechanism import Mechanism
from kdtasks.contract.leakage import MeasuresLeaks, NoisesStatistics
from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import Arrays, Report, SplitName, TeacherArtifact
from kdtasks.csi_feedback.adaptation import MARKS
from kdtasks.csi_feedback.deployment_scores import deployment_scores
from kdtasks.csi_feedback.export import deployable
from kdtasks.csi_feedback.families import families, family_params
from kdtasks.csi_feedback.methods.codewords import codeword_loss
from kdtasks.csi_feedback.methods.fine_tuning import Course, Guide, train_on
from kdtasks.csi_feedback.methods.ip_encoder_kd import bs, ue
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import send
from kdtasks.csi_feedback.methods.job import Trained, TrainingStage, report_encoder
from kdtasks.csi_feedback.methods.synthetic_rehearsal import describe, describe_noisily, draw
from kdtasks.csi_feedback.ownership import shares, withheld_shares
from kdtasks.csi_feedback.settings import CsiSettings, resolve
from kdtasks.csi_feedback.students import (
    frozen_teacher,
    make_decoder,
    make_encoder,
    method_of,
    new_student,
    plan_of,
    restored,
    restored_student,
    score,
    stream,
    student_job,
)
from kdtasks.csi_feedback.workload import (
    edge_samples,
    forward_flops,
    plan_at_effort,
    planned_epochs,
    tensor_specs,
    total_epochs,
    work_of,
)
from kdtasks.learning.complexity import batch1_latency_ms
from kdtasks.learning.deployed_students import ScoreOf, deployed
from kdtasks.learning.device import to_array
from kdtasks.learning.metrics import relative_errors
from kdtasks.learning.random import numpy_generator, torch_generator
from kdtasks.learning.tensors import as_tensor, load_state, state_arrays
from kdtasks.learning.training import Epoch, Schedule, run_frozen


class CsiCollaboration(MeasuresLeaks, AnswersPairs, NoisesStatistics, ServesEachEdge):
    """The half of the CSI feedback task that nodes of a network call.

    Nodes with fewer samples than a batch train on batches of all they have.
    """

    neutral_output = 0.5

    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        return shares(resolve(params), split, name)

    def samples_for(self, params: Params, samples: Arrays) -> Arrays:  # noqa: ARG002
        return {"pictures": samples["pictures"]}

    def edge_params(self, params: Params, edge: int) -> dict[str, Value]:
        return self.complete(family_params(resolve(params), params, edge))

    def in_topology(self, params: Params, topology: TopologyName) -> dict[str, Value]:
        return resolve(params).alike(topology).completed()

    def sends_pairs(self, params: Params) -> bool:
        return resolve(params).sends_pairs

    def latency(self, params: Params) -> dict[str, float]:
        settings = resolve(params)
        families_ms = [
            batch1_latency_ms(make_encoder(own, own.encoder), settings.picture_shape)
            for own in families(settings, params)
        ]
        # edge k is of family k modulo their number
        edges_ms = [families_ms[k % len(families_ms)] for k in range(settings.num_edges)]
        return {"ue_latency_ms": sum(edges_ms) / len(edges_ms)}

    def planned_epochs(self, params: Params) -> int:
        settings = resolve(params)
        return planned_epochs(settings, plan_of(settings))

    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return tensor_specs(resolve(params))

    def place_of(self, tensor: str) -> Place:
        return "edge" if tensor.startswith("encoder.") else "server"

    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return tensor_specs(resolve(params), teacher=True)

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:
        shape = (None, *resolve(params).picture_shape)
        return {"pictures": TensorSpec(shape=shape, dtype="float32")}

    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        shape = (None, resolve(params).codeword_length)
        return {"codewords": TensorSpec(shape=shape, dtype="float32")}

    def statistics_tensors(self, params: Params) -> dict[str, TensorSpec]:
        length = resolve(params).codeword_length
        return {
            "mean": TensorSpec(shape=(length,), dtype="float32"),
            "covariance": TensorSpec(shape=(length, length), dtype="float32"),
        }

    def learn(
        self,
        params: Params,
        data: Arrays,
        teacher: TeacherArtifact | None,
        *,
        server_part: bool,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        settings, pictures = resolve(params), as_tensor(data["pictures"])
        if settings.server_training == "none":
            return Learnt(weights=state_arrays(new_student(settings, stream_name)))
        held_out, used = _held_out(settings, len(pictures), stream_name)
        settings = _fitted(settings, len(used))
        frozen = None
        if settings.has_teacher and teacher is not None:
            # of uploaded samples, which stand last, a teacher's outputs are not known
            shown = {n: known[used[used < len(known)]] for n, known in teacher.outputs.items()}
            frozen = frozen_teacher(settings, replace(teacher, outputs=shown))
        job = student_job(
            settings,
            pictures[used],
            None if held_out is None else pictures[held_out],
            frozen,
            server_part=server_part,
            stream_name=stream_name,
        )
        plan = plan_at_effort(settings, job.plan, len(job.train_N2AC))
        job = replace(job, plan=plan, areas=_areas(data, used))

        def learnt(trained: Trained) -> Learnt:
            spent = sum(v for n, v in trained.metrics.items() if n.endswith("core_seconds"))
            # those of some samples are of no use to who has all
            known = frozen.known_outputs() if frozen is not None and held_out is None else {}
            stages = trained.training_stages
            work = work_of(settings, stages, spent, settings.batch_size, frozen)
            return Learnt(
                weights=state_arrays(trained.autoencoder),
                work=replace(work, capped=bool(trained.metrics["train_capped"])),
                server_part_moved=any(stage.decoder == 3 for stage in stages),
                teacher_outputs={name: to_array(tensor) for name, tensor in known.items()},
            )

        return (yield from leaving(method_of(settings)(job), learnt))

    def train_on(
        self,
        params: Params,
        weights: Arrays,
        data: Arrays,
        guidance: Guidance | None,
        stage: Stage,
    ) -> Generator[Report, None, Learnt]:
        pictures = as_tensor(data["pictures"])
        settings = _fitted(resolve(params), len(pictures))
        schedule = Schedule(
            epochs=stage.epochs,
            batch_size=settings.batch_size,
            learning_rate=stage.rate,
            rate_name="edge_rate",
        )
        if settings.stepwise:
            settings = settings.model_copy(update={"batch_size": len(pictures)})
            schedule = _constant(schedule, len(pictures))
        model = restored_student(settings, weights) if weights else None
        course = Course(
            model=model or new_student(settings, stage.stream_name),
            pictures_N2AC=pictures,
            guide=_guide(settings, guidance, stage),
            plan=plan_of(settings),
            schedule=schedule,
            generator=torch_generator(settings.seed, stream(stage.stream_name, "order")),
            server_part=stage.server_part,
            marks=MARKS if settings.stepwise else (),
        )

        def learnt(trained: Trained) -> Learnt:
            spent = trained.metrics["finetune_core_seconds"]
            return Learnt(
                weights=state_arrays(trained.autoencoder),
                work=work_of(settings, trained.training_stages, spent, settings.batch_size),
                server_part_moved=stage.server_part,
                underway=trained.underway,
            )

        return (yield from leaving(train_on(course), learnt))

    def outputs(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        settings, begin = resolve(params), time.process_time()
        arrays = _pictures(restored_student(settings, weights), samples)
        training_stage = TrainingStage(samples=len(arrays["pictures"]), encoder=1, decoder=1)
        return arrays, _ran(settings, training_stage, begin)

    def output_error(self, params: Params, samples: Arrays, outputs: Arrays) -> float:  # noqa: ARG002
        """Return the NMSE, not in dB: that of the channel 0 is 1."""
        errors_B = relative_errors(as_tensor(samples["pictures"]), as_tensor(outputs["pictures"]))
        return float(errors_B.double().mean())

    def withheld(self, params: Params, train: Arrays) -> Shares:
        return withheld_shares(resolve(params), train)

    def fit_scores(self, params: Params, samples: Arrays, outputs: Arrays) -> NDArray[Any]:  # noqa: ARG002
        """Return minus the logarithm of each picture's NMSE."""
        errors_B = relative_errors(as_tensor(samples["pictures"]), as_tensor(outputs["pictures"]))
        tiny = np.finfo(np.float64).tiny
        fits: NDArray[Any] = -np.log(np.maximum(to_array(errors_B.double()), tiny))
        return fits

    def teacher_outputs(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        settings, begin = resolve(params), time.process_time()
        model = restored(settings.of_teacher, teacher.weights, settings.teacher_encoder)
        arrays = _pictures(model, samples)
        count = len(arrays["pictures"])
        each = forward_flops(settings, "teacher encoder") + forward_flops(settings, "decoder")
        spent = time.process_time() - begin
        return arrays, Work(flops=count * each, core_seconds=spent, teacher_samples=count)

    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        settings = resolve(params)
        frozen, pictures = frozen_teacher(settings, teacher), as_tensor(samples["pictures"])
        codewords = to_array(frozen.codewords(pictures, torch.arange(len(pictures))))
        flops = frozen.forward_samples * forward_flops(settings, "teacher encoder")
        work = Work(
            flops=float(flops),
            core_seconds=frozen.core_seconds,
            teacher_samples=frozen.forward_samples,
        )
        return {"codewords": codewords}, work

    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, stream_name: str
    ) -> Generator[Report, None, Learnt]:
        settings = _fitted(resolve(params), len(samples["pictures"]))
        encoder = new_student(settings, stream_name).encoder
        received = send(as_tensor(samples["pictures"]), as_tensor(knowledge["codewords"]), bits=0)
        plan = plan_at_effort(
            settings, plan_of(settings), len(received.pictures_N2AC), edge_samples(settings)
        )
        schedule = plan.schedule(plan.encoder_epochs)
        generator = torch_generator(settings.seed, stream(stream_name, "order"))
        of = total_epochs(settings, plan)
        loss = codeword_loss(settings.codeword_loss, settings.codeword_length)
        for epoch in ue.learn(encoder, received, loss=loss, schedule=schedule, generator=generator):
            learnt = partial(_half_learnt, settings, encoder, "encoder", epoch)
            yield replace(report_encoder(epoch, of=of), left=learnt)
        return learnt()

    def answer_pairs(
        self, params: Params, edge_part: Arrays, samples: Arrays
    ) -> tuple[Arrays, Work]:
        settings = resolve(params)
        if settings.method == "sequential":
            return {}, Work()
        codewords, work = _codewords(settings, edge_part, samples)
        return {"codewords": to_array(codewords)}, work

    def adopt(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        knowledge: Arrays,
        *,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        settings = _fitted(resolve(params), len(samples["pictures"]))
        decoder = make_decoder(settings)
        load_state(decoder, teacher.weights, "decoder.")
        returned = send(as_tensor(samples["pictures"]), as_tensor(knowledge["codewords"]), bits=0)
        schedule = plan_of(settings).schedule(settings.finetune_epochs, settings.finetune_rate)
        of = planned_epochs(settings, plan_of(settings))
        generator = torch_generator(settings.seed, stream(stream_name, "order"))
        for epoch in bs.finetune(decoder, returned, schedule=schedule, generator=generator):
            learnt = partial(_half_learnt, settings, decoder, "decoder", epoch)
            yield Report(
                epoch=of - settings.finetune_epochs + epoch.number,
                epochs=of,
                metrics={"train_loss": epoch.terms["total"]},
                left=learnt,
            )
        return learnt()

    def synthesis(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        codewords, work = _codewords(resolve(params), weights, samples)
        return describe(to_array(codewords)), work

    def noisy_synthesis(
        self,
        params: Params,
        weights: Arrays,
        samples: Arrays,
        mechanism: Mechanism,
        rng: np.random.Generator,
    ) -> tuple[Arrays, Work]:
        codewords, work = _codewords(resolve(params), weights, samples)
        return describe_noisily(to_array(codewords), mechanism, rng), work

    def synthesise(
        self, params: Params, weights: Arrays, statistics: Arrays, count: int, *, stream_name: str
    ) -> tuple[Arrays, Work]:
        settings, begin = resolve(params), time.process_time()
        decoder = make_decoder(settings)
        load_state(decoder, weights, "decoder.")
        rng = numpy_generator(settings.seed, stream(stream_name, "synthesis"))
        pictures = run_frozen(decoder, as_tensor(draw(statistics, count, rng)))
        training_stage = TrainingStage(samples=count, encoder=0, decoder=1)
        made = {"pictures": np.ascontiguousarray(to_array(pictures))}
        return made, _ran(settings, training_stage, begin)

    def evaluate_deployment(
        self, params: Params, weights: Arrays, split: Arrays
    ) -> dict[str, float]:
        """Return the quality metrics of a deployment's students, without prefix."""
        return self._scores(params, weights, self.judged_shares(params, split))

    def evaluate_underway(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        own = replace(self.judged_shares(params, split), server={})
        return self._scores(params, weights, own)

    def _scores(self, params: Params, weights: Arrays, every: Shares) -> dict[str, float]:
        def linear_nmse(edge: int, own: Arrays, share: Arrays) -> float:
            model = restored_student(resolve(self.edge_params(params, edge)), own)
            return score(model, as_tensor(share["pictures"])).value

        return deployment_scores(linear_nmse, parted(weights), every, **_reported(params))

    def deployed_edges(self, params: Params, weights: Arrays) -> Deployable:
        """Return encoders and decoders of a deployment's students."""

        def built(edge: int, own: Arrays) -> Deployable:
            return deployable(resolve(self.edge_params(params, edge)), own)

        def judged(score_of: ScoreOf, split: Arrays) -> dict[str, float]:
            def linear_nmse(edge: int, own: Arrays, share: Arrays) -> float:
                return float(10.0 ** (score_of(edge, own, share)["nmse_db"] / 10.0))

            every = self.judged_shares(params, split)
            return deployment_scores(linear_nmse, parted(weights), every, **_reported(params))

        return deployed(weights, built, judged)


ONE_OF = 8
"""A node that trains to a plateau holds out one of so many of its samples, to judge itself on."""


def _held_out(
    settings: CsiSettings, count: int, stream_name: str
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return which of a node's samples tell it that a plateau is reached, and which it learns.

    Raises:
        UserError: If it has too few.
    """
    if settings.effort != "plateau":
        return None, np.arange(count)
    if count < ONE_OF:
        raise UserError(
            f"effort plateau needs {ONE_OF} training samples at each node, not {count}: "
            "raise num_train or edge_samples"
        )
    rng = numpy_generator(settings.seed, stream(stream_name, "held out"))
    order = rng.permutation(count)
    return np.sort(order[: count // ONE_OF]), np.sort(order[count // ONE_OF :])


def _fitted(settings: CsiSettings, count: int) -> CsiSettings:
    """Return settings whose batch is no larger than the samples at hand."""
    return settings.model_copy(update={"batch_size": min(settings.batch_size, count)})


def _constant(schedule: Schedule, samples: int) -> Schedule:
    """Return a schedule of steps on all samples whose rate does not depend on how many follow."""
    return replace(schedule, batch_size=samples, warmup_steps=0, final_share=1.0)


def _reported(params: Params) -> dict[str, Any]:
    """Return which scores of a deployment are reported."""
    settings = resolve(params)
    level = settings.level_db if settings.stepwise else None
    return {"each_edge": settings.topology == "per-edge", "level_db": level}


def _areas(data: Arrays, used: np.ndarray) -> tuple[Tensor, ...]:
    """Return the places of each area's samples among those that are used."""
    areas = data["areas"][used] if "areas" in data else np.empty(0)
    return tuple(torch.from_numpy(np.flatnonzero(areas == area)) for area in np.unique(areas))


def _guide(settings: CsiSettings, guidance: Guidance | None, stage: Stage) -> Guide | None:
    if guidance is None or stage.guidance_weight == 0.0:
        return None
    return Guide(
        pictures_N2AC=as_tensor(guidance.samples["pictures"]),
        outputs_N2AC=as_tensor(guidance.outputs["pictures"]),
        weight=stage.guidance_weight,
        generator=torch_generator(settings.seed, stream(stage.stream_name, "guidance order")),
    )


def _pictures(model: nn.Module, samples: Arrays) -> Arrays:
    """Return what a model makes of pictures."""
    outputs = run_frozen(model, as_tensor(samples["pictures"]))
    # The decoder works in another memory layout, and what is sent is written as it lies.
    return {"pictures": np.ascontiguousarray(to_array(outputs))}


def _codewords(settings: CsiSettings, weights: Arrays, samples: Arrays) -> tuple[Tensor, Work]:
    begin = time.process_time()
    encoder = make_encoder(settings, settings.encoder)
    load_state(encoder, weights, "encoder.")
    codewords = run_frozen(encoder, as_tensor(samples["pictures"]))
    training_stage = TrainingStage(samples=len(codewords), encoder=1, decoder=0)
    return codewords, _ran(settings, training_stage, begin)


def _half_learnt(
    settings: CsiSettings, half: nn.Module, name: Literal["encoder", "decoder"], epoch: Epoch
) -> Learnt:
    """Return the half of a student that was trained on pairs, after an epoch."""
    at_server = name == "decoder"
    stage = TrainingStage(
        samples=epoch.samples, encoder=0 if at_server else 3, decoder=3 if at_server else 0
    )
    return Learnt(
        weights=state_arrays(half, f"{name}."),
        work=work_of(settings, [stage], epoch.core_seconds, settings.batch_size),
        server_part_moved=at_server,
    )


def _ran(settings: CsiSettings, training_stage: TrainingStage, begin: float) -> Work:
    """Return what it has cost to run a network since ``begin`` of the process's CPU time [s]."""
    return work_of(settings, [training_stage], time.process_time() - begin, settings.batch_size)
