# ruff: noqa: ARG002  # what is the same for all nodes takes its arguments all the same
"""LiDAR beam tracking in a network: what its nodes learn and send.

The server has scans and a teacher. An edge may be sent its student, scans with the teacher's
outputs, the teacher to learn from on scans of its own, or the teacher with sealed statistics
of the server's scans, or with a generator that was trained on these: then no scan is sent.
"""

import time
from collections.abc import Generator
from functools import partial

import numpy as np

from kdtasks.contract.collaboration import (
    ExchangesPairs,
    Learnt,
    Shares,
    TensorSpec,
    Work,
    leaving,
)
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.gaussian_mechanism import Mechanism
from kdtasks.contract.leakage import NoisesExtras
from kdtasks.contract.params import Params
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Arrays, Report, SplitName, TeacherArtifact
from kdtasks.learning.complexity import FLOPS_PER_MAC, batch1_latency_ms
from kdtasks.learning.tensors import state_arrays
from kdtasks.lidar_beam.data import SENSORS, data_of
from kdtasks.lidar_beam.export import deployable
from kdtasks.lidar_beam.methods import job as lidar_job
from kdtasks.lidar_beam.methods.batches import scans_of
from kdtasks.lidar_beam.methods.metadata import PREFIX, noisy_final, sealed
from kdtasks.lidar_beam.models.family import WINDOW_SHAPE
from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.lidar_beam.settings import LidarSettings, resolve
from kdtasks.lidar_beam.students import (
    SENT_GENERATOR,
    TrainedStudent,
    restored,
    student_of,
    teach,
    windows_of,
    with_complete_outputs,
)
from kdtasks.lidar_beam.workload import (
    check_memory,
    generator_size,
    held_beside,
    inversion_work,
    student_size,
    teacher_size,
    training_work,
)
from kdtasks.sensing.beams.format import NUM_SLOTS
from kdtasks.sensing.ownership import Owners, taken
from kdtasks.sensing.sources import Source
from kdtasks.sensing.window_task import WindowTask

Learning = Generator[Report, None, Learnt]


class LidarCollaboration(WindowTask[LidarSettings], ExchangesPairs, NoisesExtras):
    """The half of LiDAR beam tracking that nodes of a network call.

    Nodes have no validation split: they keep the weights of the last epoch, or choose one by
    windows that they have made up.
    """

    def _source(self, settings: LidarSettings) -> Source:
        return data_of(settings)

    def _owners(self, settings: LidarSettings) -> Owners:
        return Owners(
            seed=settings.data_seed,
            passages=f"train_passages={settings.train_passages}",
            label="beam",
            server=SENSORS,
            edges=(SENSORS,) * settings.num_edges,
        )

    def _check_memory(self, settings: LidarSettings) -> None:
        check_memory(settings)

    def _score(
        self, settings: LidarSettings, weights: Arrays, split: Arrays, *, teacher: bool
    ) -> dict[str, float]:
        return lidar_job.score(restored(settings, weights, teacher=teacher), scans_of(split))

    def _deployable(self, settings: LidarSettings, weights: Arrays) -> Deployable:
        return deployable(settings, weights)

    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        """Divide a split; edges whose students are made without data have none to train on."""
        settings = resolve(params)
        if name == "train" and not settings.on_data:
            server = self._teachers_windows(settings, split)
            nothing = taken(split, np.empty(0, np.int64), SENSORS)
            return Shares(server=server, edges=(nothing,) * settings.num_edges)
        return super().share_out(params, split, name)

    def sends_pairs(self, params: Params) -> bool:
        return resolve(params).scans_travel

    def latency(self, params: Params) -> dict[str, float]:
        return {"latency_ms": latency_ms(student_of(resolve(params)))}

    def planned_epochs(self, params: Params) -> int:
        settings = resolve(params)
        inverting = settings.generator_epochs if settings.inverts_at_edge else 0
        return inverting + settings.epochs

    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return student_size(resolve(params)).tensors

    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return teacher_size(resolve(params)).tensors

    # --- what is sent beside a teacher ----------------------------------------------------------

    def teacher_extras(self, params: Params, teacher: TeacherArtifact) -> tuple[Arrays, Work]:
        """Return sealed metadata, or the generator that the server has trained on them."""
        settings = resolve(params)
        if settings.method != "datafree":
            return {}, Work()
        if settings.travels == "metadata":
            names = [PREFIX + group for group in settings.groups]
            return {name: teacher.outputs[name] for name in names}, Work()
        expert = restored(settings, teacher.weights, teacher=True)
        made = result_of(windows_of(settings, expert, teacher.outputs))
        assert made.generator is not None
        sent = state_arrays(made.generator, SENT_GENERATOR)
        return sent, inversion_work(settings, made.core_seconds)

    def noisy_extras(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        mechanism: Mechanism,
        rng: np.random.Generator,
    ) -> tuple[Arrays, Work]:
        """Return group ``final``, see `noisy_final`; the teacher is run for it once more."""
        settings, begin = resolve(params), time.process_time()
        network, scans = restored(settings, teacher.weights, teacher=True), scans_of(samples)
        metadata = noisy_final(lidar_job.run_scans(network, scans).hidden[:, -1], mechanism, rng)
        work = Work(
            flops=float(FLOPS_PER_MAC * len(scans) * teacher_size(settings).macs),
            core_seconds=time.process_time() - begin,
            teacher_samples=len(scans),
        )
        return sealed(metadata), work

    def extra_tensors(self, params: Params) -> dict[str, TensorSpec]:
        settings = resolve(params)
        if settings.method != "datafree":
            return {}
        if settings.travels == "metadata":
            sealed = TensorSpec(shape=(None,), dtype="uint8")
            return dict.fromkeys((PREFIX + group for group in settings.groups), sealed)
        tensors = generator_size(settings).tensors
        return {SENT_GENERATOR + name: spec for name, spec in tensors.items()}

    # --- learning -------------------------------------------------------------------------------

    def learn(
        self,
        params: Params,
        data: Arrays,
        teacher: TeacherArtifact | None,
        *,
        server_part: bool,
        stream_name: str,
    ) -> Learning:
        settings = resolve(params).at_node(len(data["label"]), stream_name)
        held = 0 if teacher is None else held_beside(settings)
        training = teach(settings, data, None, teacher)
        return (yield from leaving(training, partial(_learnt, settings, held)))

    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return what the method takes of the teacher's outputs on the server's windows."""
        settings = resolve(params)
        teacher, work = with_complete_outputs(settings, teacher, scans_of(samples))
        return {settings.taught_by: teacher.outputs[settings.taught_by]}, work

    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        settings = resolve(params)
        if settings.taught_by == "logits":
            return self.output_tensors(params)
        states = teacher_size(settings).tensors["head.weight"].shape[1]
        return {"features": TensorSpec(shape=(None, NUM_SLOTS, states), dtype="float32")}

    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, stream_name: str
    ) -> Learning:
        settings = resolve(params).at_node(len(samples["label"]), stream_name)
        teacher_outputs = TeacherArtifact(metrics={}, weights={}, outputs=knowledge)
        training = teach(settings, samples, None, teacher_outputs)
        return (yield from leaving(training, partial(_learnt, settings, 0)))


def latency_ms(network: LidarNetwork) -> float:
    """Return the median wall time of one window on this CPU, one thread [ms]."""
    return batch1_latency_ms(network, WINDOW_SHAPE)


def _learnt(settings: LidarSettings, held_bytes: int, taught: TrainedStudent) -> Learnt:
    """Return what training leaves at a node that holds so much beside the student [B]."""
    trained = taught.trained
    work = training_work(settings, trained.samples, trained.core_seconds, taught.queried)
    work = taught.teacher_work + work + Work(peak_bytes=work.peak_bytes + held_bytes)
    if taught.made is not None and taught.made.queried:
        work = work + inversion_work(settings, taught.made.core_seconds)
    return Learnt(
        weights=state_arrays(trained.network),
        work=work,
        teacher_outputs={} if taught.teacher is None else taught.teacher.outputs,
    )
