"""CSI feedback with knowledge distillation.

Source: Cui, Guo, Cao, Tang, Wen, Jin, Wang, Hou, "Lightweight Neural Network with Knowledge
Distillation for CSI Feedback". The user equipment encodes its downlink channel, the base station
decodes it. The teacher is CRNet; students keep its decoder's shape and take a lighter encoder.
"""

from collections.abc import Generator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from kdtasks.contract.collaboration import name_of, parted
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.deployment import NETWORK_METRICS, POISONING_METRICS
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.privacy import PRIVACY_METRICS
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
    down,
    prefixed,
)
from kdtasks.csi_feedback.adaptation import ADAPTATION_METRICS
from kdtasks.csi_feedback.baselines import baselines_of, server_data
from kdtasks.csi_feedback.collaboration import CsiCollaboration
from kdtasks.csi_feedback.data.angular_delay import Scaling
from kdtasks.csi_feedback.data.dataset import load_pictures
from kdtasks.csi_feedback.export import deployable
from kdtasks.csi_feedback.families import families
from kdtasks.csi_feedback.methods import vanilla
from kdtasks.csi_feedback.methods.job import Job
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.own_data import own_data
from kdtasks.csi_feedback.ownership import server_share
from kdtasks.csi_feedback.policy import ChoosingSettings
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.csi_feedback.students import (
    check_place,
    first_data,
    frozen_teacher,
    make_decoder,
    make_encoder,
    method_of,
    plan_of,
    restored,
    restored_student,
    scores,
    second_data,
    student_job,
)
from kdtasks.csi_feedback.workload import (
    check_memory,
    network_cost,
    plan_at_effort,
    teacher_flops,
    training_flops,
)
from kdtasks.data.weight_files import load_teacher, weights_identity
from kdtasks.learning.complexity import batch1_latency_ms, count
from kdtasks.learning.deployed_students import mean_metrics, train_all
from kdtasks.learning.device import to_array
from kdtasks.learning.random import initialised, seed_for, torch_generator
from kdtasks.learning.tensors import as_tensor, state_arrays
from kdtasks.learning.training import run_frozen

TEACHER_RECIPE = 2
"""Raised when the same settings would train another teacher, so that old ones are not reused."""

PICTURES = ("pictures", "second_pictures")
"""Arrays of a split that a teacher trains on; there may be others, such as positions."""


class CsiFeedback(CsiCollaboration):
    """Autoencoder KD, encoder KD, the IP-protecting variant and sequential training."""

    name = "csi-feedback"
    any_device = True
    metrics: ClassVar[dict[str, MetricInfo]] = {
        "val_nmse_db": down("dB", "NMSE on the validation split, Cui et al., eq. (12)"),
        "val_worst_edge_nmse_db": down("dB", "NMSE at the worst edge, on its own distribution"),
        "val_judged_edges": MetricInfo(
            unit="",
            direction="maximize",
            description="edges that have validation samples of their own; means are over these",
        ),
        "val_server_nmse_db": down("dB", "NMSE of edges' students on the server's distribution"),
        "val_received_nmse_db": down("dB", "NMSE of students as edges received them"),
        "val_forgetting_db": down("dB", "what training at edges lost on the server's distribution"),
        **ADAPTATION_METRICS,
        "val_nmse_second_db": down("dB", "NMSE on the second scenario's validation split"),
        "ue_flops": down("FLOPs", "UE encoder, by Cui et al., eq. (13) and (14)"),
        "ue_macs": down("MACs", "UE encoder, multiply-accumulate operations"),
        "ue_params": down("", "UE encoder, trainable parameters"),
        "ue_latency_ms": down("ms", "UE encoder, batch 1, this CPU, one thread, median"),
        "payload_bits": down("bit", "one report: codeword length times 32 bits"),
        **EFFORT_METRICS,
        "distill_core_seconds": down("s", "of which distillation or training from scratch"),
        "finetune_core_seconds": down("s", "of which fine-tuning"),
        "exchange_bytes": down("B", "CSI-codeword pairs exchanged between BS and UE"),
        **NETWORK_METRICS,
        **POISONING_METRICS,
        **PRIVACY_METRICS,
    }
    settings = ChoosingSettings

    def complete(self, params: Params) -> dict[str, Value]:
        settings = self.settings.resolve(params)
        first_data(settings)
        if settings.second_scenario:
            second_data(settings)
        done = settings.completed()
        check_place(settings)
        if settings.edge_memory_mb > 0.0:
            check_memory(settings, families(settings, done))
        return done

    def own_data(self, path: Path, params: Params) -> OwnData:
        """Return the parameters for COST2100's published files, or channels."""
        return own_data(path, params)

    def scenario_fingerprint(self, params: Params) -> str:
        settings = self.settings.resolve(params)
        parts = {"first": first_data(settings).fingerprint}
        if settings.second_scenario:
            parts["second"] = second_data(settings).fingerprint
        return fingerprint(parts)

    def teacher_fingerprint(self, params: Params) -> str | None:
        settings = self.settings.resolve(params)
        if settings.method == "vanilla":
            return None
        kept: dict[str, Any] = {
            "recipe": TEACHER_RECIPE,
            "scenario": self.scenario_fingerprint(params),
            "light": asdict(settings.light_shape) if settings.light_teacher else {},
            "epochs": settings.epochs if settings.light_teacher else settings.teacher_epochs,
            **settings.of_teacher.identity("teacher"),
            **weights_identity(settings.teacher_weights),
        }
        if settings.networked:
            kept["server"] = server_data(settings)
        if settings.teacher_data != "both":
            kept["data"] = settings.teacher_data
        if settings.num_teachers > 1:
            kept["teachers"] = settings.num_teachers
        return fingerprint(kept)

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        settings = self.settings.resolve(params)
        first = load_pictures(first_data(settings), cache_dir=cache_dir, progress=progress)
        if not settings.second_scenario:
            return first
        span = first.provenance.get("scaling_span")  # published pictures come scaled
        second = load_pictures(
            second_data(settings),
            cache_dir=cache_dir,
            progress=progress,
            scaling=None if span is None else Scaling(span=span),
        )

        def both(one: Arrays, other: Arrays) -> Arrays:
            return {**one, "second_pictures": other["pictures"]}

        return ScenarioData(
            train=both(first.train, second.train),
            val=both(first.val, second.val),
            test=both(first.test, second.test),
            provenance={
                "first": first.provenance,
                "second": second.provenance,
                "notes": [
                    *first.provenance.get("notes", ()),
                    *second.provenance.get("notes", ()),
                ],
            },
        )

    def cost(self, params: Params) -> dict[str, float]:
        """Return the complexity of the student; the mean over edges that have different ones."""
        settings = self.settings.resolve(params)
        kinds = [network_cost(one, "encoder") for one in families(settings, params)]
        edges = settings.num_edges if len(kinds) > 1 else 1
        costs = [kinds[edge % len(kinds)] for edge in range(edges)]
        return {
            "ue_flops": sum(cost.flops for cost in costs) / edges,
            "ue_macs": sum(cost.macs for cost in costs) / edges,
            "ue_params": sum(cost.params for cost in costs) / edges,
            "payload_bits": float(settings.payload_bits),
        }

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train the teachers; in a network on the server's share, whose outputs they give."""
        settings = self.settings.resolve(params)
        if settings.num_teachers == 1:
            return self._train_one(settings, settings.teacher_seed, train, val)

        def train_one(number: int) -> Generator[Report, None, TeacherArtifact]:
            seed = seed_for(settings.teacher_seed, name_of(number))
            return self._train_one(settings, seed, train, val)

        return train_all(train_one, settings.num_teachers)

    def _train_one(
        self, settings: CsiSettings, seed: int, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        light, settings = settings.light_teacher, settings.of_teacher
        train = server_share(settings, train, "train") if settings.networked else train
        names = PICTURES if settings.teacher_data == "both" else PICTURES[:1]
        pictures = torch.cat([as_tensor(train[name]) for name in names if name in train])
        plan = replace(
            plan_of(settings),
            epochs=settings.epochs if light else settings.teacher_epochs,
            learning_rate=settings.teacher_rate,
            rate_name="teacher_rate",
            batch_size=min(settings.batch_size, len(pictures)),
            meta=None,
        )
        build = partial(make_encoder, settings, settings.teacher_encoder)
        model = Autoencoder(
            initialised(seed, "teacher encoder", build),
            initialised(seed, "teacher decoder", partial(make_decoder, settings)),
        )
        if settings.teacher_weights:
            found = yield from load_teacher(
                model, settings.teacher_weights, partial(scores, model, val)
            )
        else:
            job = Job(
                train_N2AC=pictures,
                val_N2AC=as_tensor(val["pictures"]),
                encoder=model.encoder,
                decoder=model.decoder,
                teacher=None,
                plan=plan,
                generator=torch_generator(seed, "teacher order"),
            )
            trained = yield from vanilla.train(job)
            stages = trained.training_stages
            found = {
                **prefixed("val", scores(model, val)),
                "train_core_seconds": trained.metrics["distill_core_seconds"],
                "train_samples": float(sum(stage.samples for stage in stages)),
                "train_epochs": float(sum(stage.epochs for stage in stages)),
                "train_gflop": 1e-9 * training_flops(settings, stages, "teacher encoder"),
            }
        shown = as_tensor(train["pictures"])
        codewords = run_frozen(model.encoder, shown)
        outputs = run_frozen(model.decoder, codewords)
        cost = count(model.encoder, settings.picture_shape)
        metrics = {
            **found,
            "ue_flops": float(cost.flops),
            "ue_params": float(cost.params),
            "payload_bits": float(settings.payload_bits),
        }
        return TeacherArtifact(
            metrics=metrics,
            weights=state_arrays(model),
            outputs={"codewords": to_array(codewords), "pictures": to_array(outputs)},
        )

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        settings = self.settings.resolve(params)
        assert not settings.networked, "the nodes of a network train their students"
        frozen = frozen_teacher(settings, teacher) if teacher is not None else None
        pictures, judged = as_tensor(train["pictures"]), as_tensor(val["pictures"])
        job = student_job(settings, pictures, judged, frozen)
        job = replace(job, plan=plan_at_effort(settings, job.plan, len(pictures)))
        trained = yield from method_of(settings)(job)
        stages, passes = trained.metrics, trained.training_stages
        latency = batch1_latency_ms(trained.autoencoder.encoder, settings.picture_shape)
        metrics = {
            **prefixed("val", scores(trained.autoencoder, val)),
            **self.cost(params),
            **stages,
            "ue_latency_ms": latency,
            "train_core_seconds": stages["distill_core_seconds"]
            + stages.get("finetune_core_seconds", 0.0),
            "train_samples": float(sum(s.samples for s in passes if 3 in (s.encoder, s.decoder))),
            "train_epochs": float(sum(s.epochs for s in passes)),
            "train_gflop": 1e-9 * training_flops(settings, passes),
            "teacher_forward_samples": float(frozen.forward_samples) if frozen else 0.0,
            "teacher_forward_gflop": 1e-9 * teacher_flops(settings, frozen) if frozen else 0.0,
        }
        return Outcome(metrics=metrics, weights=state_arrays(trained.autoencoder))

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        settings = self.settings.resolve(params)
        if settings.networked:
            return self.evaluate_deployment(params, weights, split)
        return scores(restored_student(settings, weights), split)

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        settings = self.settings.resolve(params)
        if settings.networked:
            return self.deployed_edges(params, weights)
        return deployable(settings, weights)

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        settings = self.settings.resolve(params)
        many = parted(weights).values() if settings.num_teachers > 1 else [weights]
        teachers = [restored(settings.of_teacher, one, settings.teacher_encoder) for one in many]
        return mean_metrics([scores(teacher, split) for teacher in teachers])

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return PCA, and memory: the nearest training channel with one complex gain."""
        return baselines_of(self.settings.resolve(params), data)

    def worst_values(self, params: Params) -> dict[str, float]:  # noqa: ARG002
        """Return the NMSE of a receiver that takes every channel for zero: 0 dB."""
        return {name: 0.0 for name in self.metrics if name.endswith("nmse_db")}

    def models(self) -> list[dict[str, Any]]:
        rows = []
        for compression in (16, 32):
            settings = self.settings.resolve({"preset": "paper", "compression": compression})
            for label, name in (("CRNet", "crnet"), ("CRNet-SE", "light")):
                encoder = make_encoder(settings, name)
                cost = count(encoder, settings.picture_shape)
                decoder = count(make_decoder(settings), (settings.codeword_length,))
                rows.append(
                    {
                        "model": label,
                        "compression": f"1/{compression}",
                        "ue_flops": cost.flops,
                        "ue_params": cost.params,
                        "ue_macs": cost.macs,
                        "ue_latency_ms": round(
                            batch1_latency_ms(encoder, settings.picture_shape), 4
                        ),
                        "bs_flops": decoder.flops,
                        "bs_params": decoder.params,
                    }
                )
        return rows
