"""Beam tracking with a laser scanner, and distillation without data.

Source: Zakeri, Nguyen, Alkhateeb, Juntti, "Data-Free Knowledge Distillation for LiDAR-Aided Beam
Tracking in MmWave Systems" (2025). From 8 scans a network predicts which of 64 beams is best now
and in the next three frames. A server has scans and trains the teacher; a student learns its
outputs, on recorded windows or on made-up ones.
"""

from collections.abc import Generator
from functools import partial
from typing import Any, ClassVar

import torch

from kdtasks.contract.deployment import NETWORK_METRICS, POISONING_METRICS
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.params import Params
from kdtasks.contract.privacy import PRIVACY_METRICS
from kdtasks.contract.task import (
    Arrays,
    MetricInfo,
    Outcome,
    Report,
    TeacherArtifact,
    down,
    prefixed,
)
from kdtasks.data.weight_files import load_teacher
from kdtasks.learning.complexity import size_of
from kdtasks.learning.jobs import train as run_job
from kdtasks.learning.tensors import state_arrays
from kdtasks.lidar_beam.collaboration import LidarCollaboration, latency_ms
from kdtasks.lidar_beam.data import SENSORS
from kdtasks.lidar_beam.methods import job as lidar_job
from kdtasks.lidar_beam.methods.batches import scans_of
from kdtasks.lidar_beam.methods.metadata import GROUPS, Observed, sealed, summarised
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS, WINDOW_SHAPE
from kdtasks.lidar_beam.models.student import LidarStudent
from kdtasks.lidar_beam.settings import LidarSettings, resolve
from kdtasks.lidar_beam.students import sent_bytes, teach, teacher_job
from kdtasks.lidar_beam.workload import effort_of, student_size, teacher_size
from kdtasks.sensing.beams.metrics import score_infos
from kdtasks.sensing.window_task import DEPLOYMENT_METRICS

GENERATOR_TERMS = {
    "total": "what the generator minimised",
    "metadata": "distances of all groups of metadata, added",
    "activation": "minus the mean size of the teacher's last hidden state",
    "entropy": "minus the entropy of the teacher's mean answer",
    **{f"metadata_{group}": f"distance of the metadata {group}" for group in GROUPS},
}
"""Terms of a generator's loss, means over its last epoch; only where one was trained."""


class LidarBeam(LidarCollaboration):
    """Students without teacher, with ordinary distillation, and without data."""

    name = "lidar-beam"
    metrics: ClassVar[dict[str, MetricInfo]] = {
        **score_infos(),
        **DEPLOYMENT_METRICS,
        "params": down("", "trainable parameters"),
        "macs": down("MACs", "multiply-accumulates of a window, all 11 steps"),
        "model_bytes": down("B", "parameters"),
        "latency_ms": down("ms", "a whole window, batch 1, this CPU, one thread, median"),
        **EFFORT_METRICS,
        "edge_core_seconds": down("s", "of that, where the student is trained"),
        "bytes_to_edge": down("B", "what a server sends so that an edge can train the student"),
        "scans_to_edge": down("", "recorded scans among that"),
        **{f"generator_{name}": down("", text) for name, text in GENERATOR_TERMS.items()},
        **NETWORK_METRICS,
        **POISONING_METRICS,
        **PRIVACY_METRICS,
    }
    settings = LidarSettings

    learns_from = SENSORS

    def cost(self, params: Params) -> dict[str, float]:
        return student_size(resolve(params)).metrics

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train a teacher, and sum up its training windows; in a network the server's.

        Its outputs are ``logits`` and ``features`` of the predicted slots, which students on data
        learn from, and its sealed metadata, which are all that a student without data sees.
        """
        settings = resolve(params)
        seen = scans_of(self._teachers_windows(settings, train))
        job = teacher_job(settings, seen, scans_of(val))
        network = job.network
        if settings.teacher_weights:
            score = partial(lidar_job.score, network, scans_of(val))
            found = yield from load_teacher(network, settings.teacher_weights, score)
        else:
            trained = yield from run_job(job)
            found = {
                **prefixed("val", trained.scores),
                **trained.effort(6.0 * teacher_size(settings).macs * trained.samples),
            }
        teacher_outputs = lidar_job.run_scans(network, seen)
        metadata = summarised(Observed(seen.gathered(torch.arange(len(seen))), teacher_outputs))
        metrics = {**found, **teacher_size(settings).metrics}
        known = lidar_job.outputs_of(teacher_outputs).arrays("logits")
        outputs = {**{name: array.copy() for name, array in known.items()}, **sealed(metadata)}
        return TeacherArtifact(metrics=metrics, weights=state_arrays(network), outputs=outputs)

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        """Train a student; those of methods without data read nothing of the training split.

        Weights and scores are those of the epoch that ``selection`` chooses. The scores that are
        reported on the way are of recorded validation windows, whatever the student learns from.
        """
        settings = resolve(params)
        assert not settings.networked, "the nodes of a network train their students"
        taught = yield from teach(settings, train, scans_of(val), teacher)
        trained, made = taught.trained, taught.made
        queried, generating = (0, 0.0) if made is None else (made.queried, made.core_seconds)
        at_edge = 0.0 if settings.travels == "generator" else generating
        metrics = {
            **prefixed("val", trained.scores),
            **self.cost(params),
            "latency_ms": latency_ms(trained.network),
            **effort_of(
                settings, trained, taught.teacher_work, queried=taught.queried, inverted=queried
            ),
            "train_core_seconds": trained.core_seconds + generating,
            "edge_core_seconds": trained.core_seconds + at_edge,
            "bytes_to_edge": float(sent_bytes(settings, train, taught.teacher, made)),
            "scans_to_edge": float(len(train["lidar"]) if settings.on_data else 0),
            "teacher_forward_samples": float(
                queried + taught.queried + taught.teacher_work.teacher_samples
            ),
            **({} if made is None else made.terms),
        }
        return Outcome(metrics=metrics, weights=state_arrays(trained.network))

    def models(self) -> list[dict[str, Any]]:
        """Describe teachers, the student of width 1, and generators with their own noise."""
        networks = {
            **{f"{name} teacher": build() for name, build in LIDAR_TEACHERS.items()},
            "student": LidarStudent(),
        }
        rows = [_described(name, network, WINDOW_SHAPE, True) for name, network in networks.items()]
        for family in GENERATORS.values():
            generator = family.build()
            name, shape = f"{family.name} generator", (generator.noise_size,)
            rows.append(_described(name, generator, shape, family.published))
        return rows


def _described(
    name: str, network: torch.nn.Module, shape: tuple[int, ...], published: bool
) -> dict[str, Any]:
    size = size_of(network, shape)
    return {
        "model": name,
        "published": published,
        "params": size.cost.params,
        "macs": size.macs,
        "bytes": size.state_bytes,
    }
