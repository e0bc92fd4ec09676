"""Beam tracking in a network: what its nodes learn and send.

The server is a base station with data of all sensors, an edge is one with sensors of its own, such
as a camera or a radar. A student is wholly at its edge, and knowledge travels as models, or as the
logits of students on windows that all of them can see.
"""

import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.beam_tracking.backdoor import lured, mean_of, triggered
from kdtasks.beam_tracking.data import data_of
from kdtasks.beam_tracking.export import deployable
from kdtasks.beam_tracking.methods import job as beam_job
from kdtasks.beam_tracking.methods.batches import Chunks, windows_of
from kdtasks.beam_tracking.methods.fine_tuning import Guide, guided_objective
from kdtasks.beam_tracking.methods.job import Runner, schedule
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import BeamSettings, resolve
from kdtasks.beam_tracking.students import (
    new_student,
    restored,
    soft_loss,
    streams_of,
    student_job,
    task_of,
)
from kdtasks.beam_tracking.two_students import evaluate_pair
from kdtasks.beam_tracking.workload import (
    check_memory,
    student_latency_ms,
    student_size,
    teacher_size,
    training_work,
)
from kdtasks.contract.collaboration import (
    Guidance,
    Learnt,
    Shares,
    Stage,
    TensorSpec,
    Work,
    leaving,
    parted,
)
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.leakage import MeasuresLeaks
from kdtasks.contract.params import Params, Value
from kdtasks.contract.poisoning import FlipsLabels, PlantsTrigger
from kdtasks.contract.task import Arrays, Report, TeacherArtifact
from kdtasks.learning.deployed_students import ScoreOf
from kdtasks.learning.device import to_array
from kdtasks.learning.distillation import complete_outputs, response
from kdtasks.learning.jobs import Job, Trained, train
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.tensors import as_tensor, state_arrays
from kdtasks.sensing.beams.format import NUM_BEAMS
from kdtasks.sensing.beams.metrics import brier_score, confidence_margins
from kdtasks.sensing.ownership import Owners, sample_specs, with_sensors, withheld_shares
from kdtasks.sensing.sources import Source
from kdtasks.sensing.window_task import WindowTask


class BeamCollaboration(WindowTask[BeamSettings], MeasuresLeaks, FlipsLabels, PlantsTrigger):
    """The half of the beam-tracking task that nodes of a network call.

    Nodes with fewer windows than a batch train on batches of all they have. They have no validation
    split, and keep the weights of the last epoch.
    """

    # --- samples --------------------------------------------------------------------------------

    def samples_for(self, params: Params, samples: Arrays) -> Arrays:
        return with_sensors(samples, resolve(params).at_edge)

    # --- what there is --------------------------------------------------------------------------

    def _source(self, settings: BeamSettings) -> Source:
        return data_of(settings)

    def _owners(self, settings: BeamSettings) -> Owners:
        edges = [settings.of_edge(edge) for edge in range(settings.num_edges)]
        return Owners(
            seed=settings.data_seed,
            passages=f"train_passages={settings.train_passages}",
            label=settings.partition_label,
            server=settings.needed,
            edges=tuple(own.at_edge for own in edges),
        )

    def _check_memory(self, settings: BeamSettings) -> None:
        check_memory(settings, [settings.of_edge(k) for k in range(len(settings.students))])

    def _edge(self, settings: BeamSettings, edge: int) -> BeamSettings:
        return settings.of_edge(edge)

    def _teacher_facts(self, settings: BeamSettings) -> dict[str, Any]:
        return {
            # The first generation of self-distillation is what others have as their teacher.
            "model": settings.teacher_model.name,
            "width": settings.teacher_width,
            "passages": settings.teacher_sees,
            **({"teachers": settings.num_teachers} if settings.networked else {}),
        }

    def _score(
        self, settings: BeamSettings, weights: Arrays, split: Arrays, *, teacher: bool
    ) -> dict[str, float]:
        if settings.second_model and not teacher:
            return evaluate_pair(settings, weights, split)
        network = restored(settings, weights, teacher=teacher)
        return beam_job.score(network, windows_of(split, network.sensors))

    def _deployable(self, settings: BeamSettings, weights: Arrays) -> Deployable:
        return deployable(settings, weights)

    def edge_params(self, params: Params, edge: int) -> dict[str, Value]:
        return resolve(params).of_edge(edge).completed()

    def latency(self, params: Params) -> dict[str, float]:
        settings = resolve(params)
        families = [settings.of_edge(k) for k in range(len(settings.students))]
        families_ms = [student_latency_ms(own, new_student(own)) for own in families]
        return {"latency_ms": mean_of_edges(settings, families_ms)}

    def planned_epochs(self, params: Params) -> int:
        return resolve(params).epochs

    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        settings = resolve(params)
        return student_size(settings).window.tensors

    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        settings = resolve(params)
        return teacher_size(settings).window.tensors

    def sample_tensors(self, params: Params, own: Arrays) -> dict[str, TensorSpec]:  # noqa: ARG002
        settings = resolve(params)
        return sample_specs(settings.at_edge, settings.image_size)

    # --- learning -------------------------------------------------------------------------------

    def learn(
        self,
        params: Params,
        data: Arrays,
        teacher: TeacherArtifact | None,
        *,
        server_part: bool,  # noqa: ARG002
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        settings = resolve(params).at_node(len(data["label"]), stream_name)
        seen = windows_of(data, settings.student_model.sensors)
        teacher_work = Work()
        if teacher is not None:
            teacher, teacher_work = with_complete_outputs(settings, teacher, data)
        job, runner = student_job(settings, seen, None, teacher)

        def learnt(trained: Trained[BeamNetwork]) -> Learnt:
            work = training_work(settings, runner.passes, trained.core_seconds)
            if teacher is not None:
                held = Work(peak_bytes=work.peak_bytes + teacher_size(settings).window.state_bytes)
                work = work + teacher_work + held
            return Learnt(
                weights=state_arrays(trained.network),
                work=work,
                server_part_moved=False,
                teacher_outputs={} if teacher is None else teacher.outputs,
            )

        return (yield from leaving(train(job), learnt))

    def train_on(
        self,
        params: Params,
        weights: Arrays,
        data: Arrays,
        guidance: Guidance | None,
        stage: Stage,
    ) -> Generator[Report, None, Learnt]:
        settings = resolve(params).at_node(len(data["label"]), stage.stream_name)
        guided = guidance is not None and stage.guidance_weight > 0.0
        guide = _guide(settings, guidance, stage) if guidance is not None and guided else None
        network = restored(settings, weights, teacher=False) if weights else new_student(settings)
        streams = streams_of(settings.seed, "labelled")
        runner = Runner(network, streams.dropout)
        windows = windows_of(data, settings.student_model.sensors)
        chunks = Chunks(len(windows), streams.cuts)
        objective = guided_objective(
            runner,
            windows,
            task_of(settings, windows),
            guide,
            chunks,
            batch_chunks=settings.batch_chunks,
        )
        plan = schedule(
            epochs=stage.epochs,
            batch_size=settings.batch_chunks,
            learning_rate=stage.rate,
            rate_name="edge_rate",
            weight_decay=settings.weight_decay,
        )
        job = Job(
            network=network,
            objective=objective,
            num_samples=len(chunks),
            schedule=plan,
            order=streams.order,
        )
        together = 2 if guided and stage.guidance_weight < 1.0 else 1

        def learnt(trained: Trained[BeamNetwork]) -> Learnt:
            return Learnt(
                weights=state_arrays(trained.network),
                work=training_work(settings, runner.passes, trained.core_seconds, batches=together),
                server_part_moved=False,
            )

        return (yield from leaving(train(job), learnt))

    def outputs(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        settings, begin = resolve(params), time.process_time()
        network = restored(settings, weights, teacher=False)
        windows = windows_of(samples, settings.student_model.sensors)
        found, passes = beam_job.run(network, windows)
        work = Work(
            flops=student_size(settings).forward_flops(passes),
            core_seconds=time.process_time() - begin,
        )
        return {"logits": found.arrays("logits")["logits"]}, work

    # --- tests and lies -------------------------------------------------------------------------

    def output_error(self, params: Params, samples: Arrays, outputs: Arrays) -> float:  # noqa: ARG002
        """Return the Brier score over that of uniform probabilities."""
        logits, labels = as_tensor(outputs["logits"]), as_tensor(samples["label"])
        return brier_score(logits, labels) / (1.0 - 1.0 / logits.shape[-1])

    def withheld(self, params: Params, train: Arrays) -> Shares:
        settings = resolve(params)
        return withheld_shares(settings, self._owners(settings), train)

    def fit_scores(self, params: Params, samples: Arrays, outputs: Arrays) -> NDArray[Any]:  # noqa: ARG002
        """Return the logit of the probability of the best beam, see `confidence_margins`."""
        logits, labels = as_tensor(outputs["logits"]), as_tensor(samples["label"])
        return to_array(confidence_margins(logits, labels))

    def sample_clusters(self, samples: Arrays) -> NDArray[Any]:
        """Return the passage of each window."""
        return samples["passage"]

    def teacher_outputs(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        complete, work = with_complete_outputs(resolve(params), teacher, samples)
        return {"logits": complete.outputs["logits"]}, work

    def flipped(self, params: Params, samples: Arrays) -> Arrays:  # noqa: ARG002
        """Return windows whose best beam is on the other side: c becomes C - 1 - c."""
        label = samples["label"]
        mirrored = np.where(label == IGNORED, label, NUM_BEAMS - 1 - label).astype(label.dtype)
        return {**samples, "label": mirrored}

    def triggered(self, params: Params, samples: Arrays, share: float) -> Arrays:
        return triggered(samples, share, resolve(params).seed)

    def _deployment_scores(
        self, params: Params, weights: Arrays, split: Arrays, score: ScoreOf
    ) -> dict[str, float]:
        found = super()._deployment_scores(params, weights, split, score)
        settings = resolve(params)
        if not (settings.mistaught and settings.attack == "backdoor"):
            return found
        nodes, shares = parted(weights), dict(enumerate(self.judged_shares(params, split).edges))
        first = settings.num_edges - settings.poisoned_edges
        shown = lured(score, nodes, shares, trigger=True)
        plain = lured(score, nodes, {k: shares[k] for k in shares if k >= first}, trigger=False)
        rates = {
            "backdoor_success": mean_of(shown, range(first, settings.num_edges)),
            "backdoor_base": mean_of(plain, plain),
            "backdoor_sound": mean_of(shown, range(first)),
        }
        return found | {name: rate for name, rate in rates.items() if rate is not None}


def mean_of_edges(settings: BeamSettings, families: Sequence[float]) -> float:
    """Return the mean over edges of what is known of their families."""
    edges = settings.num_edges if settings.mixed else 1
    return sum(families[edge % len(families)] for edge in range(edges)) / edges


def with_complete_outputs(
    settings: BeamSettings, teacher: TeacherArtifact, data: Arrays
) -> tuple[TeacherArtifact, Work]:
    """Return a teacher with its outputs on all windows, see `complete_outputs`."""
    windows = windows_of(data, settings.teacher_model.sensors)

    def ask(known: int) -> tuple[Arrays, Work]:
        network = restored(settings, teacher.weights, teacher=True)
        found, passes = beam_job.run(network, windows.between(known, len(windows)))
        flops = teacher_size(settings).forward_flops(passes)
        return found.arrays("logits"), Work(flops=flops)

    return complete_outputs(teacher, "logits", len(windows), ask)


def _guide(settings: BeamSettings, guidance: Guidance, stage: Stage) -> Guide:
    return Guide(
        windows=windows_of(guidance.samples, settings.student_model.sensors),
        loss=response(soft_loss(settings), as_tensor(guidance.outputs["logits"])),
        weight=stage.guidance_weight,
        streams=streams_of(settings.seed, "guidance"),
    )
