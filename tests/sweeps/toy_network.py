"""A collaborative task without networks: students are means, so that a deployment takes no time."""

import math
import os
import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

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
    parted,
)
from kdtasks.contract.deployment import (
    NETWORK_METRICS,
    POISONING_METRICS,
    NetworkSettings,
    TopologyName,
)
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.gaussian_mechanism import Mechanism, clipping
from kdtasks.contract.leakage import MeasuresLeaks, NoisesStatistics
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.poisoning import FlipsLabels, PlantsTrigger
from kdtasks.contract.privacy import PRIVACY_METRICS
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    MetricInfo,
    Outcome,
    Progress,
    Report,
    ScenarioData,
    SplitName,
    TeacherArtifact,
)

DIM = 3
OWN: dict[str, Value] = {
    "method": "kd",
    "two_sided": True,
    "epochs": 2,
    "epoch_s": 0.0,
    "fail": "",
    "seed": 0,
    "teacher_seed": 0,
}


def _rows(array: Any) -> int:
    return len(array)


def _so_far(learnt: Learnt, share: float, drawn: float) -> Learnt:
    moved = [n for n in learnt.weights if n == "a" or learnt.server_part_moved]
    trained = {n: (learnt.weights[n] * share + 1e-3 * drawn).astype(np.float32) for n in moved}
    work = replace(learnt.work, flops=learnt.work.flops * share)
    return replace(learnt, weights={**learnt.weights, **trained}, work=work)


class ToyNetworkTask(
    MeasuresLeaks, FlipsLabels, PlantsTrigger, AnswersPairs, NoisesStatistics, ServesEachEdge
):
    name = "toy-network"
    data_seed = 0
    metrics: ClassVar[dict[str, MetricInfo]] = {
        "val_error": MetricInfo(unit="", direction="minimize", description="error"),
        "ue_latency_ms": MetricInfo(unit="ms", direction="minimize", description="latency"),
        **NETWORK_METRICS,
        **POISONING_METRICS,
        **PRIVACY_METRICS,
    }
    resource_parameters = frozenset({"method", "topology", "teacher_seed", "num_edges"})
    baseline_parameters: ClassVar[frozenset[str]] = frozenset()

    # --- as any task ------------------------------------------------------------------------------

    def complete(self, params: Params) -> dict[str, Value]:
        known = {**OWN, **NetworkSettings().model_dump(), "topology": "centralized"}
        for name in params:
            if name not in known:
                raise ConfigError(f"unknown parameter {name!r}; there are {sorted(known)}")
        full = {**known, **params}
        NetworkSettings.of(full)
        return full

    def scenario_fingerprint(self, params: Params) -> str:
        return fingerprint({"scenario": self.name})

    def teacher_fingerprint(self, params: Params) -> str | None:
        if params["method"] == "vanilla" or params["topology"] in ("mutual", "self"):
            return None
        # it is trained on the server's share, which is smaller the more edges there are
        return fingerprint({"teacher": params["teacher_seed"], "edges": params["num_edges"]})

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        rng = np.random.default_rng(self.data_seed)
        splits = {
            name: {"x": rng.normal(size=(count, DIM)).astype(np.float32)}
            for name, count in (("train", 600), ("val", 64), ("test", 64))
        }
        progress(1, 1, "samples")
        return ScenarioData(**splits, provenance={"source": "formula"})

    def cost(self, params: Params) -> dict[str, float]:
        return {"ue_flops": 3.0}

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        yield Report(epoch=1, epochs=1, metrics={"val_error": 0.0})
        server = self.share_out(params, train, "train").server["x"]
        weights = {
            "a": np.arange(DIM, dtype=np.float32) + server.mean(0),
            "b": np.ones(1, dtype=np.float32),
            "bulk": np.zeros(2000, dtype=np.float32),
            "batches": np.array(7),
        }
        outputs = {"y": server @ weights["a"], "code": server[:, :1].copy()}
        return TeacherArtifact(metrics={"val_error": 0.0}, weights=weights, outputs=outputs)

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        learnt = yield from self.learn(params, train, teacher, server_part=True, stream_name="")
        return Outcome(metrics={"val_error": 1.0}, weights=learnt.weights)

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        if params["topology"] == "none":
            return {"error": 1.0}
        shares = self.judged_shares(params, split).edges
        nodes = parted(weights)
        errors = [
            float(np.abs(nodes[f"edge-{i}"]["a"] - share["x"].mean(0)).sum())
            + float(np.abs(nodes[f"edge-{i}"].get("b", np.zeros(1))).sum())
            for i, share in enumerate(shares)
        ]
        return {"error": sum(errors) / len(errors)}

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return {"error": 0.0}

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        return []

    def models(self) -> list[dict[str, Any]]:
        return []

    # --- in a network -----------------------------------------------------------------------------

    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        rows = split["x"]
        if name == "train":
            rows = rows[: len(rows) - self._kept_out(params, split)]
        parts = np.array_split(rows, int(params["num_edges"]) + 1)
        return Shares(server={"x": parts[0]}, edges=tuple({"x": part} for part in parts[1:]))

    def _kept_out(self, params: Params, train: Arrays) -> int:
        return round(float(params["privacy_share"]) * len(train["x"]))

    def withheld(self, params: Params, train: Arrays) -> Shares:
        count = self._kept_out(params, train)
        return self.share_out(params, {"x": train["x"][len(train["x"]) - count :]}, "val")

    def fit_scores(self, params: Params, samples: Arrays, outputs: Arrays) -> Any:
        return -np.abs(outputs["y"] - samples["x"].sum(1))

    def edge_params(self, params: Params, edge: int) -> dict[str, Value]:
        mixed = params["edge_families"] == "mixed"
        return {**params, "epochs": int(params["epochs"]) + (edge % 2 if mixed else 0)}

    def in_topology(self, params: Params, topology: TopologyName) -> dict[str, Value]:
        return {**params, "topology": topology, "edge_topologies": ""}

    def sends_pairs(self, params: Params) -> bool:
        return params["method"] == "pairs"

    def teacher_of(self, params: Params, artifact: TeacherArtifact, number: int) -> TeacherArtifact:
        return replace(artifact, weights={**artifact.weights, "a": artifact.weights["a"] + number})

    def latency(self, params: Params) -> dict[str, float]:
        return {"ue_latency_ms": 1.0}

    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        a, b = TensorSpec(shape=(DIM,), dtype="float32"), TensorSpec(shape=(1,), dtype="float32")
        return {"a": a, "b": b} if params["two_sided"] else {"a": a}

    def place_of(self, tensor: str) -> Place:
        return "edge" if tensor == "a" else "server"

    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        bulk = TensorSpec(shape=(2000,), dtype="float32")
        return {
            "a": TensorSpec(shape=(DIM,), dtype="float32"),
            "b": TensorSpec(shape=(1,), dtype="float32"),
            "bulk": bulk,
            "batches": TensorSpec(shape=(), dtype="int64"),
        }

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return {"y": TensorSpec(shape=(None,), dtype="float32")}

    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return {"code": TensorSpec(shape=(None, 1), dtype="float32")}

    def statistics_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return {"mean": TensorSpec(shape=(DIM,), dtype="float32")}

    def _weights(self, params: Params, a: Any) -> dict[str, Any]:
        weights = {"a": np.asarray(a, dtype=np.float32)}
        if params["two_sided"]:
            weights["b"] = weights["a"][:1] ** 2
        return weights

    def _trained(
        self, params: Params, count: int, stream_name: str, learnt: Learnt
    ) -> Generator[Report, None, Learnt]:
        """Report epochs; of its weights and its work a student has the share that is done."""
        if params["fail"] and stream_name == params["fail"]:
            raise RuntimeError(f"{stream_name} cannot learn\nsecond line")
        drawn = 0.0
        for epoch in range(1, count + 1):
            time.sleep(float(params["epoch_s"]))
            drawn += self.draw()
            now = _so_far(learnt, epoch / count, drawn)
            metrics = {"pid": float(os.getpid()), "val_error": 0.0}
            yield Report(epoch=epoch, epochs=count, metrics=metrics, left=partial(replace, now))
        return now

    def draw(self) -> float:
        """Return what an epoch adds to a student at random."""
        return 0.0

    def learn(
        self,
        params: Params,
        data: Arrays,
        teacher: TeacherArtifact | None,
        *,
        server_part: bool,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        mean = data["x"].mean(0)
        weights = self._weights(params, mean if teacher is None else mean + teacher.weights["a"])
        moved = teacher is None or server_part
        if not moved and teacher is not None and params["two_sided"]:
            weights["b"] = teacher.weights["b"]
        work = Work(flops=10.0 * _rows(data["x"]), peak_bytes=100.0)
        learnt = Learnt(weights=weights, work=work, server_part_moved=moved)
        return (yield from self._trained(params, int(params["epochs"]), stream_name, learnt))

    def train_on(
        self,
        params: Params,
        weights: Arrays,
        data: Arrays,
        guidance: Guidance | None,
        stage: Stage,
    ) -> Generator[Report, None, Learnt]:
        a = data["x"].mean(0)
        if weights:
            a = (a + weights["a"]) / 2
        if guidance is not None:
            a = a + stage.guidance_weight * float(np.mean(guidance.outputs["y"]))
        trained = self._weights(params, a)
        if weights and not stage.server_part:
            trained |= {name: weights[name] for name in self.tensors(params, "server")}
        work = Work(flops=float(_rows(data["x"])), peak_bytes=50.0)
        moved = stage.server_part or not weights
        learnt = Learnt(
            weights=trained, work=work, server_part_moved=moved, underway={stage.epochs: trained}
        )
        return (yield from self._trained(params, stage.epochs, stage.stream_name, learnt))

    def outputs(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        return {"y": samples["x"] @ weights["a"]}, Work(flops=1.0 * _rows(samples["x"]))

    def output_error(self, params: Params, samples: Arrays, outputs: Arrays) -> float:
        wanted = samples["x"].sum(1)
        return float(np.square(outputs["y"] - wanted).mean() / np.square(wanted).mean())

    def teacher_outputs(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        return self.outputs(params, teacher.weights, samples)

    def flipped(self, params: Params, samples: Arrays) -> Arrays:
        return {"x": -samples["x"]}

    def triggered(self, params: Params, samples: Arrays, share: float) -> Arrays:
        rows = samples["x"].copy()
        rows[: math.ceil(share * len(rows))] = 9.0
        return {"x": rows}

    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        return {"code": samples["x"][:, :1].copy()}, Work()

    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, stream_name: str
    ) -> Generator[Report, None, Learnt]:
        a = samples["x"].mean(0) + knowledge["code"].mean()
        work = Work(flops=1.0, peak_bytes=10.0)
        learnt = Learnt(weights={"a": a.astype(np.float32)}, work=work, server_part_moved=False)
        return (yield from self._trained(params, int(params["epochs"]), stream_name, learnt))

    def answer_pairs(
        self, params: Params, edge_part: Arrays, samples: Arrays
    ) -> tuple[Arrays, Work]:
        return {"code": (samples["x"] @ edge_part["a"])[:, None]}, Work()

    def adopt(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        knowledge: Arrays,
        *,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        b = np.atleast_1d(knowledge["code"].mean()).astype(np.float32)
        learnt = Learnt(weights={"b": b}, work=Work(), server_part_moved=True)
        return (yield from self._trained(params, 1, stream_name, learnt))

    def synthesis(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        return {"mean": samples["x"].mean(0)}, Work()

    def noisy_synthesis(
        self,
        params: Params,
        weights: Arrays,
        samples: Arrays,
        mechanism: Mechanism,
        rng: np.random.Generator,
    ) -> tuple[Arrays, Work]:
        factor = clipping(np.linalg.norm(samples["x"], axis=1), mechanism.clip)[:, None]
        mean = (samples["x"] * factor).mean(0)
        noise = mechanism.noise(mean.shape, 2 * mechanism.clip / _rows(samples["x"]), rng)
        return {"mean": (mean + noise).astype(np.float32)}, Work()

    def synthesise(
        self, params: Params, weights: Arrays, statistics: Arrays, count: int, *, stream_name: str
    ) -> tuple[Arrays, Work]:
        return {"x": np.tile(statistics["mean"], (count, 1))}, Work()


class DrawingNetworkTask(ToyNetworkTask):
    """It draws from NumPy's global generator, in training and when it judges, as users' may."""

    def draw(self) -> float:
        return float(np.random.rand())  # noqa: NPY002 - on purpose

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        self.draw()
        return super().evaluate(params, weights, split)


class SecondNetworkTask(DrawingNetworkTask):
    """Another task for the same network, on other data."""

    name = "second-network"
    data_seed = 1
