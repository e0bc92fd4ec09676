"""MIMO detection with Learngene: what of a collective detector helps individual ones.

Source: Zhang, Guo, Li, Wen, Geng, Jin, "Efficient deployment of deep MIMO detection using
Learngene" (2025). A manufacturer trains a large collective detector over a stream of links, one
after the other; device teams inherit a segment of its layers, put it into detectors of their own
and train these where they are deployed. Networks, links and recipe are designs of this project:
the abstract is all that was at hand.
"""

from collections.abc import Generator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray

from kdtasks.contract.deployable import Deployable
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    KDTask,
    MetricInfo,
    Outcome,
    Progress,
    Report,
    ScenarioData,
    TeacherArtifact,
    down,
    prefixed,
)
from kdtasks.data.weight_files import load_teacher, weights_identity
from kdtasks.learning.complexity import batch1_latency_ms, count
from kdtasks.learning.random import torch_generator
from kdtasks.learning.tensors import state_arrays
from kdtasks.learning.training import at_effort
from kdtasks.mimo_detection.baselines import baselines_of
from kdtasks.mimo_detection.data import fingerprint_of, load_data, received_of
from kdtasks.mimo_detection.export import deployable
from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.link.link import Received
from kdtasks.mimo_detection.methods import job as mimo_job
from kdtasks.mimo_detection.methods.collective import importance, learn_stream, learn_together
from kdtasks.mimo_detection.methods.samples import EvaluationSamples
from kdtasks.mimo_detection.models.family import (
    LISTED,
    DetectorNet,
    Plan,
    build,
    input_shapes,
)
from kdtasks.mimo_detection.models.features import EDGE_CHANNELS, InputFeatures
from kdtasks.mimo_detection.scores import (
    SCORES,
    Count,
    curve_metrics,
    link_scores,
    scores,
    stream_metrics,
)
from kdtasks.mimo_detection.settings import MimoSettings, first_guess, resolve
from kdtasks.mimo_detection.students import (
    IMPORTANCE,
    Delivery,
    delivered,
    individual_job,
    individual_of,
    individual_weights,
    lessons_of,
    linear_errors,
    new_collective,
    restored_collective,
    restored_individual,
)
from kdtasks.mimo_detection.workload import model_cost, training_macs

TEACHER_RECIPE = 1
"""Raised when the same settings would train another teacher, so that old ones are not reused."""


class MimoDetection(KDTask):
    """Individual detectors from scratch, from a segment or the whole of a collective, and by KD."""

    name = "mimo-detection"
    any_device = True
    metrics: ClassVar[dict[str, MetricInfo]] = {
        **SCORES,
        "params": down("", "trainable parameters"),
        "macs": down("MACs", "multiply-accumulates of a channel use, linear algebra before it not"),
        "model_bytes": down("B", "parameters"),
        "latency_ms": down("ms", "network of a channel use, batch 1, this CPU, one thread, median"),
        **EFFORT_METRICS,
        "bytes_to_edge": down("B", "message with what an individual gets, header included"),
        "sent_params": down("", "parameters of networks in that message"),
        "share_of_individual": down("%", "parameters sent, over those of the individual"),
        "share_of_collective": down("%", "parameters sent, over those of the collective"),
        "inherited_start": down("", "first unit of the collective that was inherited, from 0"),
        "inherited_length": down("", "units that were inherited"),
        "teacher_forward_samples": down("", "channel uses that the collective was run on"),
    }
    settings = MimoSettings
    teacher_splits = ()  # a collective has a stream of its own; targets share it

    def scenario_fingerprint(self, params: Params) -> str:
        return fingerprint_of(self.settings.resolve(params))

    def teacher_fingerprint(self, params: Params) -> str | None:
        settings = self.settings.resolve(params)
        if not settings.has_teacher:
            return None
        # The bits that it has logits for are the target's, too.
        known: dict[str, Any] = {"recipe": TEACHER_RECIPE, "bits": settings.bits}
        if settings.stream_rule != "sequential":
            known |= {"rule": asdict(settings.meta)}
        weights = weights_identity(settings.teacher_weights)
        return fingerprint({**known, **settings.identity("teacher"), **weights})

    def load_scenario(
        self,
        params: Params,
        *,
        cache_dir: Path,  # noqa: ARG002 - drawing takes a second
        progress: Progress,
    ) -> ScenarioData:
        return load_data(resolve(params), progress)

    def cost(self, params: Params) -> dict[str, float]:
        """Return the complexity of the individual.

        Where a rule chooses the segment, that of one with a segment of that length at the bottom;
        with other sizes than the collective's it may come out different.
        """
        settings = resolve(params)
        return dict(model_cost(settings.individual(first_guess(settings)), settings.link.streams))

    def train_teacher(
        self,
        params: Params,
        train: Arrays,  # noqa: ARG002 - see teacher_splits
        val: Arrays,  # noqa: ARG002
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train a collective over its stream.

        Its outputs are not about any samples: they are what its units did during the stream, by
        which published rules choose a segment, and the importance of its parameters.
        """
        settings = resolve(params)
        lessons, linear = lessons_of(settings)
        outputs: dict[str, NDArray[Any]] = {}
        if settings.teacher_weights:
            network = new_collective(settings, settings.collective)
            ratios = (lesson.judged.errors(network).ratio for lesson in lessons)
            metrics = yield from load_teacher(
                network, settings.teacher_weights, lambda: link_scores(ratios, linear)
            )
        elif settings.stream_rule != "sequential":
            network = new_collective(settings, settings.collective)
            order = torch_generator(settings.teacher_seed, "collective order")
            trained = yield from learn_together(network, lessons, settings.meta, order=order)
            flops = 2.0 * training_macs(network, settings.link.streams) * trained.samples
            ratios = (lesson.judged.errors(network).ratio for lesson in lessons)
            metrics = prefixed("val", link_scores(ratios, linear)) | trained.effort(flops)
        else:
            learnt = yield from learn_stream(
                new_collective(settings, settings.stream_plans[0]),
                lessons,
                macs_of=partial(training_macs, streams=settings.link.streams),
                replay_share=settings.replay_share,
                order=torch_generator(settings.teacher_seed, "collective order"),
            )
            network = learnt.network
            metrics = stream_metrics(learnt, linear) | dict(learnt.effort)
            outputs["weight_change"] = learnt.weight_change_TU
            outputs["gradient_share"] = learnt.gradient_share_TU
        size = sum(p.numel() for p in network.parameters())
        weighed = {f"{IMPORTANCE}{name}": f for name, f in importance(network, lessons).items()}
        return TeacherArtifact(
            metrics={**metrics, "params": float(size), "model_bytes": 4.0 * size},
            weights=state_arrays(network),
            outputs={**outputs, **weighed},
        )

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        """Train an individual on what it got in the server's message and on local channel uses."""
        settings = resolve(params)
        seen = received_of(val)
        delivery = None
        if settings.has_teacher:
            assert teacher is not None
            delivery = delivered(settings, teacher)
        individual = individual_of(settings, delivery)
        job = individual_job(settings, individual, train)
        judged, streams = EvaluationSamples(seen, settings.input_features), settings.link.streams
        flops = 2.0 * training_macs(job.network, streams)
        schedule = at_effort(
            job.schedule, settings, lambda epochs: flops * job.num_samples * epochs
        )
        marks = mimo_job.EARLY if settings.early_curve else ()
        trained, curve = yield from mimo_job.train(replace(job, schedule=schedule), judged, marks)
        network, plan = trained.network, _plan(settings, delivery)
        queried = trained.samples if settings.distils else 0
        student_flops = flops * trained.samples
        teacher_flops = 2.0 * queried * model_cost(settings.collective, streams)["macs"]
        metrics = {
            **prefixed("val", scores(val, _counting(network, settings.input_features))),
            **curve_metrics(curve, linear_errors(settings.link, seen)),
            **model_cost(plan, streams),
            **_sent(settings, delivery, model_cost(plan, streams)["params"]),
            **trained.effort(student_flops, teacher_flops),
            "latency_ms": batch1_latency_ms(network, *input_shapes(network, streams)),
            "teacher_forward_samples": float(queried),
        }
        return Outcome(metrics=metrics, weights=individual_weights(settings, network, delivery))

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        settings = resolve(params)
        return scores(
            split, _counting(restored_individual(settings, weights), settings.input_features)
        )

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        return deployable(resolve(params), weights)

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        """Return the scores of the collective on the target, which it has not been trained for."""
        settings = resolve(params)
        return scores(
            split, _counting(restored_collective(settings, weights), settings.input_features)
        )

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return ZF, LMMSE, EP, K-best and, where feasible, ML."""
        return baselines_of(resolve(params), data)

    def worst_values(self, params: Params) -> dict[str, float]:  # noqa: ARG002
        """Return the bit error ratio of guessing."""
        return {"val_ber": 0.5}

    def models(self) -> list[dict[str, Any]]:
        """Describe the networks with measured results, at 4 x 4, and the segment of 10.8 %."""
        rows = [
            {"model": name, "published": False, **_whole(model_cost(plan, 4))}
            for name, plan in LISTED.items()
        ]
        with torch.random.fork_rng(devices=[]):
            bottom, block, *_ = build(LISTED["collective"]).units.values()
        gene = [count(bottom, (8, 8, EDGE_CHANNELS)), count(block, (8, 8, 32))]
        sizes = {"params": sum(c.params for c in gene), "macs": sum(c.macs for c in gene)}
        segment = {"published": False, **sizes, "bytes": 4 * sizes["params"]}
        return [*rows, {"model": "learngene: input, block 1", **segment}]


def _whole(cost: dict[str, float]) -> dict[str, int]:
    return {
        "params": int(cost["params"]),
        "macs": int(cost["macs"]),
        "bytes": int(cost["model_bytes"]),
    }


def _plan(settings: MimoSettings, delivery: Delivery | None) -> Plan:
    return settings.own if delivery is None else settings.individual(delivery.segment)


def _counting(network: DetectorNet, input_features: InputFeatures) -> Count:
    def errors(seen: Received) -> BitErrors:
        return EvaluationSamples(seen, input_features).errors(network)

    return errors


def _sent(settings: MimoSettings, delivery: Delivery | None, own: float) -> dict[str, float]:
    """Return what was sent to an individual of so many parameters."""
    if delivery is None:
        nothing = ("bytes_to_edge", "sent_params", "share_of_individual", "share_of_collective")
        return dict.fromkeys(nothing, 0.0)
    collective = model_cost(settings.collective, settings.link.streams)["params"]
    sent = {
        "bytes_to_edge": float(len(delivery.message)),
        "sent_params": float(delivery.sent_params),
        "share_of_individual": 100.0 * delivery.sent_params / own,
        "share_of_collective": 100.0 * delivery.sent_params / collective,
    }
    if settings.inherits:
        sent["inherited_start"] = float(delivery.segment.start)
        sent["inherited_length"] = float(delivery.segment.length)
    return sent
