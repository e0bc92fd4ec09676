"""Beam tracking with knowledge distillation.

Source: Nguyen, Ma et al., "Knowledge Distillation for Collaborative Learning in Distributed
Communications and Sensing", section IV. From 8 frames of a camera, a radar or a satellite receiver
a network predicts which of 64 beams is best now and in the next three frames. Students learn from
labels, and from a larger network or one with more sensors.
"""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from kdtasks.beam_tracking.collaboration import BeamCollaboration, mean_of_edges, owners_of
from kdtasks.beam_tracking.data import data_of, fingerprint_of, load_data, own_data
from kdtasks.beam_tracking.export import deployable
from kdtasks.beam_tracking.methods import job as beam_job
from kdtasks.beam_tracking.methods.batches import windows_of
from kdtasks.beam_tracking.models.family import BEAM_MODELS, PAPER_IMAGE_SIZE, BeamModel
from kdtasks.beam_tracking.settings import BeamSettings, resolve
from kdtasks.beam_tracking.students import build, restored, student_job, teacher_job
from kdtasks.beam_tracking.thop_count import PAPER_STEPS, thop_count
from kdtasks.beam_tracking.two_students import evaluate_pair, memory_cost, train_pair
from kdtasks.beam_tracking.workload import (
    check_memory,
    effort_of,
    fitted,
    model_cost,
    student_cost,
    student_latency_ms,
)
from kdtasks.contract.collaboration import name_of, parted
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
from kdtasks.learning.complexity import count
from kdtasks.learning.deployed_students import mean_metrics, train_all
from kdtasks.learning.jobs import train as run_job
from kdtasks.learning.jobs import train_generations
from kdtasks.learning.random import initialised, seed_for
from kdtasks.learning.tensors import state_arrays
from kdtasks.sensing.baselines import baselines_of
from kdtasks.sensing.beams.format import CONDITIONS
from kdtasks.sensing.beams.metrics import SCORES, down, score_infos
from kdtasks.sensing.ownership import server_share
from kdtasks.sensing.window_task import DEPLOYMENT_METRICS

TEACHER_RECIPE = 1
"""Raised when the same settings would train another teacher, so that old ones are not reused."""


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
    any_device = True
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
    }
    settings = BeamSettings

    def complete(self, params: Params) -> dict[str, Value]:
        settings = self.settings.resolve(params)
        data_of(settings)
        families = [settings.of_edge(edge) for edge in range(len(settings.students))]
        check_memory(settings, families)
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
        network: dict[str, Any] = {}
        if settings.networked:
            network = {"server": settings.server_share, "teachers": settings.num_teachers}
        return fingerprint(
            {
                "recipe": TEACHER_RECIPE,
                "scenario": self.scenario_fingerprint(params),
                # The first generation of self-distillation is what others have as their teacher.
                "model": settings.teacher_model.name,
                "width": settings.teacher_width,
                "passages": settings.teacher_sees,
                **settings.identity("teacher"),
                **weights_identity(settings.teacher_weights),
                **network,
            }
        )

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
            train = server_share(settings, owners_of(settings), train, "train")
            settings = fitted(settings, len(train["label"]))
        model = settings.teacher_model
        seen, judged = windows_of(train, model.sensors), windows_of(val, model.sensors)
        lone = settings.scenario == "street" and not settings.networked
        if settings.method == "self" and lone:
            seen = seen.first(settings.train_passages)
        if settings.teacher_weights:
            network = initialised(0, "teacher", partial(build, settings, teacher=True))
            found = yield from load_teacher(
                network, settings.teacher_weights, partial(beam_job.score, network, judged)
            )
        else:
            trained = yield from train_generations(
                lambda number, before: run_job(teacher_job(settings, number, seen, judged, before)),
                lambda network: beam_job.run(network, seen)[0],
                settings.generations,
            )
            network = trained.network
            found = {
                **prefixed("val", trained.scores),
                "train_core_seconds": trained.core_seconds,
            }
        metrics = {**found, **model_cost(model, settings.teacher_width, settings.image_size)}
        outputs = beam_job.run(network, seen)[0].arrays("logits")
        return TeacherArtifact(metrics=metrics, weights=state_arrays(network), outputs=outputs)

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        """Train a student on its own passages; the teacher is asked nothing that it has not said.

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

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        settings = resolve(params)
        if settings.networked:
            return self.evaluate_deployment(params, weights, split)
        if settings.second_model:
            return evaluate_pair(settings, weights, split)
        network = restored(settings, weights, teacher=False)
        return beam_job.score(network, windows_of(split, settings.student_model.sensors))

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        settings = resolve(params)
        if settings.networked:
            return self.deployed_windows(
                params, weights, lambda edge, own: deployable(settings.of_edge(edge), own)
            )
        return deployable(settings, weights)

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        settings = resolve(params)
        windows = windows_of(split, settings.teacher_model.sensors)
        many = parted(weights).values() if settings.num_teachers > 1 else [weights]
        networks = [restored(settings, one, teacher=True) for one in many]
        return mean_metrics([beam_job.score(network, windows) for network in networks])

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return the majority beam and extrapolations, see `baselines_of`."""
        settings = resolve(params)
        facts = {"scenario": settings.scenario, "sensors": settings.sensors}
        return baselines_of(facts, data)

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
