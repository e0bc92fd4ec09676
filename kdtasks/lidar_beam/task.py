"""Beam tracking with a laser scanner, and distillation without data.

Source: Zakeri, Nguyen, Alkhateeb, Juntti, "Data-Free Knowledge Distillation for LiDAR-Aided Beam
Tracking in MmWave Systems" (2025). From 8 scans a network predicts which of 64 beams is best now
and in the next three frames. A server has scans and trains the teacher; a student learns what that
says of windows that nobody has measured.
"""

from collections.abc import Generator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from kdtasks.contract.deployable import Deployable
from kdtasks.contract.deployment import NETWORK_METRICS
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    MetricInfo,
    Outcome,
    OwnData,
    Progress,
    Report,
    ScenarioData,
    TeacherArtifact,
    prefixed,
)
from kdtasks.data.weight_files import load_teacher, weights_identity
from kdtasks.learning.complexity import count, state_bytes
from kdtasks.learning.jobs import train as run_job
from kdtasks.learning.tensors import state_arrays
from kdtasks.lidar_beam.collaboration import LidarCollaboration, latency_ms, owners_of
from kdtasks.lidar_beam.data import data_of, fingerprint_of, load_data, own_data
from kdtasks.lidar_beam.export import deployable
from kdtasks.lidar_beam.methods import job as lidar_job
from kdtasks.lidar_beam.methods.batches import scans_of
from kdtasks.lidar_beam.methods.metadata import GROUPS, Observed, sealed, summarised
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS, WINDOW_SHAPE
from kdtasks.lidar_beam.models.student import LidarStudent
from kdtasks.lidar_beam.settings import LidarSettings, resolve
from kdtasks.lidar_beam.students import restored, sent_bytes, teach, teacher_job
from kdtasks.lidar_beam.workload import check_memory, effort_of
from kdtasks.sensing.baselines import baselines_of
from kdtasks.sensing.beams.metrics import down, score_infos
from kdtasks.sensing.ownership import server_share
from kdtasks.sensing.window_task import DEPLOYMENT_METRICS

TEACHER_RECIPE = 1
"""Raised when the same settings would train another teacher, so that old ones are not reused."""

GENERATOR_TERMS = {
    "total": "what the generator minimised",
    "metadata": "distances of all groups of metadata, added",
    "activation": "minus the mean size of the teacher's last hidden state",
    "entropy": "minus the entropy of the teacher's mean answer",
    **{f"metadata_{group}": f"distance of the metadata {group}" for group in GROUPS},
}
"""Terms of a generator's loss, means over its last epoch; only where one was trained."""


@lru_cache(maxsize=256)
def _cost(width: float) -> dict[str, float]:
    network = LidarStudent(width=width)
    counted = count(network, WINDOW_SHAPE)
    return {
        "params": float(counted.params),
        "macs": float(counted.macs),
        "model_bytes": float(state_bytes(network)),
    }


class LidarBeam(LidarCollaboration):
    """Students without teacher, with ordinary distillation, and without data."""

    name = "lidar-beam"
    any_device = True
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
    }
    settings = LidarSettings

    def complete(self, params: Params) -> dict[str, Value]:
        settings = self.settings.resolve(params)
        data_of(settings)
        check_memory(settings)
        return settings.completed()

    def own_data(self, path: Path, params: Params) -> OwnData:  # noqa: ARG002
        """Return the parameters for a folder or a table in the layout of DeepSense 6G."""
        return own_data(path)

    def scenario_fingerprint(self, params: Params) -> str:
        return fingerprint_of(self.settings.resolve(params))

    def teacher_fingerprint(self, params: Params) -> str | None:
        settings = self.settings.resolve(params)
        if not settings.has_teacher:
            return None
        network = {"server": settings.server_share} if settings.networked else {}
        return fingerprint(
            {
                "recipe": TEACHER_RECIPE,
                "scenario": self.scenario_fingerprint(params),
                **settings.identity("teacher"),
                **weights_identity(settings.teacher_weights),
                **network,
            }
        )

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        return load_data(resolve(params), cache_dir=cache_dir, progress=progress)

    def cost(self, params: Params) -> dict[str, float]:
        return dict(_cost(resolve(params).width))

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train a teacher, and sum up its training windows; in a network the server's.

        Its outputs are ``logits`` and ``features`` of the predicted slots, which students on data
        learn from, and its sealed metadata, which are all that a student without data sees.
        """
        settings = resolve(params)
        if settings.networked:
            train = server_share(settings, owners_of(settings), train, "train")
        seen = scans_of(train)
        job = teacher_job(settings, seen, scans_of(val))
        network = job.network
        if settings.teacher_weights:
            score = partial(lidar_job.score, network, scans_of(val))
            found = yield from load_teacher(network, settings.teacher_weights, score)
        else:
            trained = yield from run_job(job)
            found = {
                **prefixed("val", trained.scores),
                "train_core_seconds": trained.core_seconds,
            }
        teacher_outputs = lidar_job.run_scans(network, seen)
        metadata = summarised(Observed(seen.gathered(torch.arange(len(seen))), teacher_outputs))
        counted = count(network, WINDOW_SHAPE)
        metrics = {
            **found,
            "params": float(counted.params),
            "macs": float(counted.macs),
            "model_bytes": float(state_bytes(network)),
        }
        known = lidar_job.outputs_of(teacher_outputs).arrays("logits")
        outputs = {**{name: array.copy() for name, array in known.items()}, **sealed(metadata)}
        return TeacherArtifact(metrics=metrics, weights=state_arrays(network), outputs=outputs)

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        """Train a student; those of methods without data read nothing of the training split.

        Weights and scores are those of the epoch that ``selection`` says. The scores that are
        reported on the way are of recorded validation windows, whatever the student learns from.
        """
        settings = resolve(params)
        assert not settings.networked, "the nodes of a network train their students"
        taught = yield from teach(settings, train, scans_of(val), teacher)
        trained, made = taught.trained, taught.made
        asked, generating = (0, 0.0) if made is None else (made.asked, made.core_seconds)
        at_edge = 0.0 if settings.travels == "generator" else generating
        metrics = {
            **prefixed("val", trained.scores),
            **self.cost(params),
            "latency_ms": latency_ms(trained.network),
            **effort_of(settings, trained, taught.teacher_work, asked=taught.asked, inverted=asked),
            "train_core_seconds": trained.core_seconds + generating,
            "edge_core_seconds": trained.core_seconds + at_edge,
            "bytes_to_edge": float(sent_bytes(settings, train, taught.teacher, made)),
            "scans_to_edge": float(len(train["lidar"]) if settings.on_data else 0),
            "teacher_forward_samples": float(
                asked + taught.asked + taught.teacher_work.teacher_samples
            ),
            **({} if made is None else made.terms),
        }
        return Outcome(metrics=metrics, weights=state_arrays(trained.network))

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        settings = resolve(params)
        if settings.networked:
            return self.evaluate_deployment(params, weights, split)
        return lidar_job.score(restored(settings, weights, teacher=False), scans_of(split))

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        settings = resolve(params)
        if settings.networked:
            return self.deployed_windows(
                params, weights, lambda _edge, own: deployable(settings, own)
            )
        return deployable(settings, weights)

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        network = restored(resolve(params), weights, teacher=True)
        return lidar_job.score(network, scans_of(split))

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return the majority beam and the last sweep, see `baselines_of`."""
        return baselines_of({"scenario": resolve(params).scenario}, data)

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
    counted = count(network, shape)
    return {
        "model": name,
        "published": published,
        "params": counted.params,
        "macs": counted.macs,
        "bytes": state_bytes(network),
    }
