"""Toy tasks that break one law of the contract each."""

from dataclasses import replace
from itertools import count
from typing import ClassVar

import numpy as np
from toy_network import ToyNetworkTask
from toy_task import ToyTask
from two_networks import Clusters

from kdtasks.contract.collaboration import TensorSpec
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.effort import EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Baseline, Outcome, Report

CALLS = count(1)
"""Something that is different in every call."""


class PlainUnits(ToyTask):
    metrics: ClassVar = {**ToyTask.metrics, "speed": "fast"}


class StrayBaselines(ToyTask):
    baseline_parameters = frozenset({"compression", "width"})


class Eager(ToyTask):
    def complete(self, params):
        params["width"] = 3
        return super().complete(params)


class Listing(ToyTask):
    def complete(self, params):
        known = {name: value for name, value in params.items() if name != "sizes"}
        return {**super().complete(known), "sizes": [1, 2]}


class Restless(ToyTask):
    def complete(self, params):
        full = super().complete(params)
        return {**full, "width": full["width"] + 1}


class Lenient(ToyTask):
    def complete(self, params):
        return super().complete({n: v for n, v in params.items() if n != "no_such_parameter"})


class Rude(ToyTask):
    def complete(self, params):
        try:
            return super().complete(params)
        except ConfigError as error:
            raise KeyError(str(error)) from error


class ForgetfulScenario(ToyTask):
    def scenario_fingerprint(self, params):
        return str(next(CALLS))


class SeededData(ToyTask):
    def scenario_fingerprint(self, params):
        return fingerprint({"seed": params["seed"]})


class ForgetfulTeacher(ToyTask):
    def teacher_fingerprint(self, params):
        return str(next(CALLS))


class SeededTeacher(ToyTask):
    def teacher_fingerprint(self, params):
        return fingerprint({"seed": params["seed"]})


class Boundless(ToyTask):
    def cost(self, params):
        return {"ue_flops": float("inf")}


def with_data(task, params, where, **changes):
    data = ToyTask.load_scenario(task, params, **where)
    fields = {name: getattr(data, name) for name in ("train", "val", "test", "provenance")}
    return type(data)(**{**fields, **changes})


class NoTest(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        where = {"cache_dir": cache_dir, "progress": progress}
        return with_data(self, params, where, test={})


class NoFile(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        return np.load("no_such_data.npy")


class Words(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        where = {"cache_dir": cache_dir, "progress": progress}
        noise = np.zeros(4, dtype=np.float32)
        return with_data(self, params, where, val={"noise": noise, "names": np.array(["a"] * 4)})


class Unfit(ToyTask):
    def rehearse(self, trials, data):
        raise ConfigError("the student has 3 outputs, and data 5 classes")


class Moody(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        where = {"cache_dir": cache_dir, "progress": progress}
        return with_data(self, params, where, val={"noise": np.full(4, float(next(CALLS)))})


class Silent(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        where = {"cache_dir": cache_dir, "progress": progress}
        return with_data(self, params, where, provenance={})


class Opaque(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        where = {"cache_dir": cache_dir, "progress": progress}
        return with_data(self, params, where, provenance={"when": {1, 2}})


class BadTeacher(ToyTask):
    """Its teacher is changed by ``spoil``."""

    def train_teacher(self, params, train, val):
        artifact = yield from super().train_teacher(params, train, val)
        return self.spoil(artifact)


class NoOutputs(BadTeacher):
    def spoil(self, artifact):
        outputs = {**artifact.outputs, "names": np.array(["a"])}
        return type(artifact)(metrics=artifact.metrics, weights=artifact.weights, outputs=outputs)


class OtherTeachers(BadTeacher):
    def spoil(self, artifact):
        weights = {**artifact.weights, "extra": np.array([float(next(CALLS))])}
        return type(artifact)(metrics=artifact.metrics, weights=weights, outputs=artifact.outputs)


class LookingTeacher(ToyTask):
    def train_teacher(self, params, train, val):
        assert params["epochs"] == 2
        return super().train_teacher(params, train, val)


class BoastfulTeacher(BadTeacher):
    def spoil(self, artifact):
        metrics = {**artifact.metrics, "val_nmse_db": -30.0}
        return type(artifact)(metrics=metrics, weights=artifact.weights, outputs=artifact.outputs)


class NanTeacher(BadTeacher):
    def spoil(self, artifact):
        metrics = {**artifact.metrics, "train_core_seconds": float("nan")}
        return type(artifact)(metrics=metrics, weights=artifact.weights, outputs=artifact.outputs)


class MiscountingTeacher(ToyTask):
    def train_teacher(self, params, train, val):
        yield Report(epoch=2, epochs=3, metrics={})
        return (yield from super().train_teacher(params, train, val))


class Mute(ToyTask):
    def train_student(self, params, train, val, teacher):
        for _ in super().train_student(params, train, val, teacher):
            pass
        return Outcome(metrics={"val_nmse_db": -10.0}, weights={"error": np.zeros(1)})
        yield


class Scribbling(ToyTask):
    def train_student(self, params, train, val, teacher):
        train["noise"].setflags(write=True)
        train["noise"][0] += 1.0
        return (yield from ToyTask.train_student(self, params, train, val, None))


class BadStudent(ToyTask):
    """Its student is changed by ``spoil``."""

    def train_student(self, params, train, val, teacher):
        outcome = yield from super().train_student(params, train, val, teacher)
        return self.spoil(outcome)


class NanStudent(BadStudent):
    def spoil(self, outcome):
        metrics = {**outcome.metrics, "train_core_seconds": float("nan")}
        return Outcome(metrics=metrics, weights=outcome.weights)


class Unjudged(BadStudent):
    def spoil(self, outcome):
        return Outcome(metrics={"nmse_db": -10.0}, weights=outcome.weights)


class Unstorable(BadStudent):
    def spoil(self, outcome):
        weights = {**outcome.weights, "phase": np.ones(2, dtype=np.complex64)}
        return Outcome(metrics=outcome.metrics, weights=weights)


class Dicing(BadStudent):
    def spoil(self, outcome):
        weights = {**outcome.weights, "extra": np.array([float(next(CALLS))])}
        return Outcome(metrics=outcome.metrics, weights=weights)


class Stubborn(BadStudent):
    def spoil(self, outcome):
        metrics = {**outcome.metrics, "val_nmse_db": -11.0}
        return Outcome(metrics=metrics, weights={"error": np.array([-11.0])})


class Boastful(BadStudent):
    def spoil(self, outcome):
        metrics = {**outcome.metrics, "val_nmse_db": outcome.metrics["val_nmse_db"] - 3.0}
        return Outcome(metrics=metrics, weights=outcome.weights)


class Crashing(ToyTask):
    def train_student(self, params, train, val, teacher):
        yield Report(epoch=1, epochs=2, metrics={})
        raise KeyError("pictures")


class OtherNames(ToyTask):
    def evaluate(self, params, weights, split):
        name = "nmse_db" if len(split["noise"]) and not split["noise"].any() else "error_db"
        return {name: float(weights["error"][0] + np.mean(split["noise"]))}


class Wearing(ToyTask):
    def evaluate(self, params, weights, split):
        found = super().evaluate(params, weights, split)
        weights["error"][0] += 1.0
        return found


class Twins(ToyTask):
    def baselines(self, params, data):
        return [Baseline(name="PCA", params={}, metrics={}), Baseline(name="PCA", params={})]


class Arrays(ToyTask):
    def models(self):
        return [{"params": np.int64(3)}]


class MoodyCost(ToyTask):
    num_calls = 0

    def cost(self, params):
        MoodyCost.num_calls += 1
        return {**super().cost(params), "ue_flops": 1000.0 + MoodyCost.num_calls}


class SameTeachers(BadTeacher):
    def spoil(self, artifact):
        weights = {"w": np.zeros((3, 2), dtype=np.float32)}
        return type(artifact)(metrics=artifact.metrics, weights=weights, outputs=artifact.outputs)


class OddNames(ToyTask):
    metrics: ClassVar = {**ToyTask.metrics, "val_top@1": ToyTask.metrics["val_nmse_db"]}


class Forgetful(ToyTask):
    def complete(self, params):
        full = super().complete(params)
        del full["method"]
        return {**full, "width": 5 if "method" in params else 2}


class HiddenResource(ToyTask):
    def scenario_fingerprint(self, params):
        return fingerprint({"width": params["width"]})


class MovingBaselines(ToyTask):
    def baselines(self, params, data):
        return [Baseline(name="PCA", params={}, metrics={"val_nmse_db": float(params["width"])})]


class Undeclared(BadStudent):
    def spoil(self, outcome):
        return Outcome(metrics={**outcome.metrics, "speed": 1.0}, weights=outcome.weights)


class Weightless(BadStudent):
    def spoil(self, outcome):
        return Outcome(metrics=outcome.metrics, weights={})


class CostlyStudent(BadStudent):
    def spoil(self, outcome):
        return Outcome(metrics={**outcome.metrics, "ue_flops": 1.0}, weights=outcome.weights)


class OtherNetworks(ToyTask):
    def deployable(self, params, weights):
        return Deployable(parts={}, score=lambda calls, split: {"nmse_db": 0.0}, chains=())


class Unsorted(ToyNetworkTask):
    def edge_params(self, params, edge):
        return dict(reversed(params.items()))


class Overlapping(ToyNetworkTask):
    def share_out(self, params, split, name):
        return replace(super().share_out(params, split, name), server=split)


class OtherSamples(ToyNetworkTask):
    def sample_tensors(self, params, own):
        return {"y": TensorSpec(shape=(None,), dtype="float32")}


class OtherTensors(ToyNetworkTask):
    def student_tensors(self, params):
        return {"a": TensorSpec(shape=(4,), dtype="float32")}


class WritingStudents(ToyNetworkTask):
    def train_on(self, params, weights, data, guidance, stage):
        if weights:
            weights["a"] += 1.0
        return (yield from super().train_on(params, weights, data, guidance, stage))


class OtherOutputs(ToyNetworkTask):
    def output_tensors(self, params):
        return {"y": TensorSpec(shape=(None, 2), dtype="float32")}


class AlwaysGuided(ToyNetworkTask):
    def train_on(self, params, weights, data, guidance, stage):
        stage = replace(stage, guidance_weight=0.5)
        return (yield from super().train_on(params, weights, data, guidance, stage))


class OtherTeacherTensors(ToyNetworkTask):
    def teacher_tensors(self, params):
        return {"a": TensorSpec(shape=(3,), dtype="float32")}


class Untold(Clusters):
    def train_student(self, params, train, val, teacher):
        outcome = yield from super().train_student(params, train, val, teacher)
        metrics = {n: value for n, value in outcome.metrics.items() if n != "train_epochs"}
        return replace(outcome, metrics=metrics)


class Unbudgeted(Clusters):
    def train_student(self, params, train, val, teacher):
        own = {name: v for name, v in params.items() if name not in EffortSettings.model_fields}
        return super().train_student(own, train, val, teacher)
