"""Beam tracking with knowledge distillation.

Source: Nguyen, Ma et al., "Knowledge Distillation for Collaborative Learning in Distributed
Communications and Sensing", section IV. From 8 frames of a camera, a radar or a satellite
receiver, and from past powers of the beams, a network predicts which of 64 beams is best now and in
the next three frames. Students learn from labels, and from a larger network or one with more
sensors.
"""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from kdtasks.beam_tracking.collaboration import BeamCollaboration, mean_of_edges
from kdtasks.beam_tracking.data import load_data
from kdtasks.beam_tracking.methods import job as beam_job
from kdtasks.beam_tracking.methods.batches import Passes, windows_of
from kdtasks.beam_tracking.methods.job import Runner
from kdtasks.beam_tracking.models.family import BEAM_MODELS, PAPER_IMAGE_SIZE, BeamModel
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import SENSOR_ORDER, BeamSettings, resolve
from kdtasks.beam_tracking.students import build, student_job, teacher_job
from kdtasks.beam_tracking.thop_count import PAPER_STEPS, thop_count
from kdtasks.beam_tracking.two_students import memory_cost, train_pair
from kdtasks.beam_tracking.workload import (
    effort_of,
    model_cost,
    student_cost,
    student_latency_ms,
    teacher_size,
)
from kdtasks.contract.collaboration import name_of
from kdtasks.contract.deployment import NETWORK_METRICS, POISONING_METRICS
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.params import Params
from kdtasks.contract.poisoning import BACKDOOR_METRICS
from kdtasks.contract.privacy import PRIVACY_METRICS
from kdtasks.contract.task import (
    Arrays,
    MetricInfo,
    Outcome,
    Progress,
    Report,
    ScenarioData,
    TeacherArtifact,
    down,
    prefixed,
)
from kdtasks.data.weight_files import load_teacher
from kdtasks.learning.complexity import count
from kdtasks.learning.deployed_students import train_all
from kdtasks.learning.distillation import Outputs
from kdtasks.learning.jobs import Trained, train_generations
from kdtasks.learning.jobs import train as run_job
from kdtasks.learning.random import initialised, seed_for
from kdtasks.learning.tensors import state_arrays
from kdtasks.sensing.beams.format import CONDITIONS
from kdtasks.sensing.beams.metrics import SCORES, score_infos
from kdtasks.sensing.window_task import DEPLOYMENT_METRICS


def _score_infos() -> dict[str, MetricInfo]:
    infos = score_infos()
    for condition in CONDITIONS:
        text = f"{SCORES['top2']}, mean over slots, {condition} alone; only where data have any"
        infos[f"val_top2_{condition}"] = MetricInfo(
            unit="%", direction="maximize", description=text
        )
        text = f"with second_model: 1 if that one runs in condition {condition}, 0 if model does"
        infos[f"val_second_{condition}"] = down("", text)
    text = "with second_model: top-2, mean over slots, of the student that is better alone"
    infos["val_top2_single"] = MetricInfo(unit="%", direction="maximize", description=text)
    return infos


class BeamTracking(BeamCollaboration):
    """Response, feature, relation and self-distillation, also across sensors."""

    name = "beam-tracking"
    metrics: ClassVar[dict[str, MetricInfo]] = {
        **_score_infos(),
        **DEPLOYMENT_METRICS,
        "params": down("", "trainable parameters"),
        "macs": down("MACs", "multiply-accumulates of a window, all 10 steps; of two the mean"),
        "thop_operations": down("", "as counted in Table II: 8 steps, called FLOPs there"),
        "model_bytes": down("B", "parameters and buffers"),
        "energy_uj": down("uJ", "pj_per_mac x macs: arithmetic alone, no memory, no sensor"),
        "latency_ms": down("ms", "a whole window, batch 1, this CPU, one thread, median"),
        **EFFORT_METRICS,
        **NETWORK_METRICS,
        **POISONING_METRICS,
        **BACKDOOR_METRICS,
        **PRIVACY_METRICS,
    }
    settings = BeamSettings

    learns_from = tuple(sensor for sensor in SENSOR_ORDER if sensor != "power")

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        return load_data(resolve(params), cache_dir=cache_dir, progress=progress)

    def cost(self, params: Params) -> dict[str, float]:
        """Return the complexity of the student; the mean over edges that have different ones.

        Of two students on one node it is the memory of both: what these compute depends on which of
        them runs when, and that on their training.
        """
        settings = resolve(params)
        if settings.second_model:
            return memory_cost(settings)
        costs = [student_cost(settings.of_edge(k)) for k in range(len(settings.students))]
        return {name: mean_of_edges(settings, [cost[name] for cost in costs]) for name in costs[0]}

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train a teacher on all training windows; in a network teachers, on the server's.

        Of self-distillation it is the last generation, and has seen the student's windows.
        """
        settings = resolve(params)
        if settings.num_teachers == 1:
            return self._train_one(settings, train, val)

        def train_one(number: int) -> Generator[Report, None, TeacherArtifact]:
            seed = seed_for(settings.teacher_seed, name_of(number))
            own = settings.model_copy(update={"teacher_seed": seed})
            return self._train_one(own, train, val)

        return train_all(train_one, settings.num_teachers)

    def _train_one(
        self, settings: BeamSettings, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        if settings.networked:
            train = self._teachers_windows(settings, train)
            settings = settings.with_batch_up_to(len(train["label"]))
        model = settings.teacher_model
        seen, judged = windows_of(train, model.sensors), windows_of(val, model.sensors)
        lone = settings.on_street and not settings.networked
        if settings.method == "self" and lone:
            seen = seen.first(settings.train_passages)
        if settings.teacher_weights:
            network = initialised(0, "teacher", partial(build, settings, teacher=True))
            found = yield from load_teacher(
                network, settings.teacher_weights, partial(beam_job.score, network, judged)
            )
        else:
            runners: list[Runner] = []

            def train_one(
                number: int, before: Outputs | None
            ) -> Generator[Report, None, Trained[BeamNetwork]]:
                job, runner = teacher_job(settings, number, seen, judged, before)
                runners.append(runner)
                return run_job(job)

            trained = yield from train_generations(
                train_one, lambda network: beam_job.run(network, seen)[0], settings.generations
            )
            network = trained.network
            passes = sum((runner.passes for runner in runners), Passes())
            found = {
                **prefixed("val", trained.scores),
                **trained.effort(3.0 * teacher_size(settings).forward_flops(passes)),
                "train_samples": float(passes.windows),
            }
        metrics = {**found, **model_cost(model, settings.teacher_width, settings.image_size)}
        outputs = beam_job.run(network, seen)[0].arrays("logits")
        return TeacherArtifact(metrics=metrics, weights=state_arrays(network), outputs=outputs)

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        """Train a student on its own passages; the teacher is not run.

        Weights and scores are those of the epoch with the best mean top-2 accuracy on the
        validation split, for every method alike; reports are of the epoch that has just ended.
        With a ``second_model`` there are two students, see `train_pair`.
        """
        settings = resolve(params)
        assert not settings.networked, "the nodes of a network train their students"
        if settings.second_model:
            return (yield from train_pair(settings, train, val, teacher))
        model = settings.student_model
        seen, judged = windows_of(train, model.sensors), windows_of(val, model.sensors)
        job, runner = student_job(settings, seen, judged, teacher)
        trained = yield from run_job(job)
        metrics = {
            **prefixed("val", trained.scores),
            **self.cost(params),
            "latency_ms": student_latency_ms(settings, trained.network),
            **effort_of(settings, trained, runner.passes),
            "teacher_forward_samples": 0.0,
        }
        return Outcome(metrics=metrics, weights=state_arrays(trained.network))

    def models(self) -> list[dict[str, Any]]:
        """Describe every network at the paper's image size.

        ``params`` and ``macs`` are true, over all 10 steps; ``thop_params`` and
        ``thop_operations`` are the counts of Table II, over 8 steps.
        """
        return [_described(model) for model in BEAM_MODELS.values()]


def _described(model: BeamModel) -> dict[str, Any]:
    network = model.build(image_size=PAPER_IMAGE_SIZE)
    counted = count(network, *model.window_shapes(image_size=PAPER_IMAGE_SIZE))
    shapes = model.window_shapes(image_size=PAPER_IMAGE_SIZE, steps=PAPER_STEPS)
    paper = thop_count(network, *shapes)
    return {
        "model": model.name,
        "sensors": " ".join(model.sensors),
        "in_table_ii": model.published,
        "params": counted.params,
        "macs": counted.macs,
        "thop_params": paper.params,
        "thop_operations": paper.operations,
    }
