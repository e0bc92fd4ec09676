"""Toy tasks that hand out something of the wrong type, each in one place."""

from typing import ClassVar

import numpy as np
import torch
from toy_task import ToyTask

from kdtasks.contract.task import Baseline, Outcome, Report, TeacherArtifact


class Artifact(ToyTask):
    """Its teacher has other fields."""

    changes: ClassVar = {}

    def train_teacher(self, params, train, val):
        one = yield from super().train_teacher(params, train, val)
        fields = {"metrics": one.metrics, "weights": one.weights, "outputs": one.outputs}
        return TeacherArtifact(**{**fields, **self.changes})


class TensorTeacher(Artifact):
    changes: ClassVar = {"weights": {"w": torch.zeros(3, 2, requires_grad=True)}}


class TensorOutputs(Artifact):
    changes: ClassVar = {"outputs": {"codes": torch.zeros(64)}}


class ListTeacher(Artifact):
    changes: ClassVar = {"weights": {"w": [1.0, 2.0]}}


class NoTeacherWeights(Artifact):
    changes: ClassVar = {"weights": None}


class WordyTeacher(Artifact):
    changes: ClassVar = {"metrics": {"val_nmse_db": None}}


class Ended(ToyTask):
    """Its student's training ends with something else."""

    def end(self, outcome):
        return None

    def train_student(self, params, train, val, teacher):
        return self.end((yield from super().train_student(params, train, val, teacher)))


class Nothing(Ended):
    pass


class Pair(Ended):
    def end(self, outcome):
        return outcome.metrics, outcome.weights


class TensorStudent(Ended):
    def end(self, outcome):
        return Outcome(metrics=outcome.metrics, weights={"error": torch.zeros(1)})


class ScalarStudent(Ended):
    def end(self, outcome):
        return Outcome(metrics=outcome.metrics, weights={"error": np.float64(1.0)})


class NumberedStudent(Ended):
    def end(self, outcome):
        return Outcome(metrics=outcome.metrics, weights={0: np.zeros(1)})


class WideStudent(Ended):
    def end(self, outcome):
        return Outcome(metrics=outcome.metrics, weights={"error": np.zeros(1, np.longdouble)})


class ObjectStudent(Ended):
    def end(self, outcome):
        return Outcome(metrics=outcome.metrics, weights={"error": np.array([{}, []], object)})


class NoMetrics(Ended):
    def end(self, outcome):
        return Outcome(metrics=None, weights=outcome.weights)


class ListMetric(Ended):
    def end(self, outcome):
        return Outcome(metrics={"val_nmse_db": [1.0, 2.0]}, weights=outcome.weights)


class NumberedMetric(Ended):
    def end(self, outcome):
        return Outcome(metrics={3: 1.0}, weights=outcome.weights)


class Plain(ToyTask):
    def train_student(self, params, train, val, teacher):
        return Outcome(metrics={"val_nmse_db": 1.0}, weights={"error": np.zeros(1)})


class PlainTeacher(ToyTask):
    def train_teacher(self, params, train, val):
        return None


class DictReports(ToyTask):
    def train_student(self, params, train, val, teacher):
        yield {"epoch": 1}
        return (yield from super().train_student(params, train, val, teacher))


class WordyReports(ToyTask):
    def train_student(self, params, train, val, teacher):
        yield Report(epoch=1, epochs=1, metrics="good")
        return Outcome(metrics={"val_nmse_db": 1.0}, weights={"error": np.zeros(1)})


class Leaving(ToyTask):
    def train_student(self, params, train, val, teacher):
        yield Report(epoch=1, epochs=1, metrics={})
        raise SystemExit("licence")


class BareEvaluate(ToyTask):
    def evaluate(self, params, weights, split):
        return float(weights["error"][0])


class NoCost(ToyTask):
    def cost(self, params):
        return None


class TensorCost(ToyTask):
    def cost(self, params):
        return {"ue_flops": torch.zeros(2)}


class NoParams(ToyTask):
    def complete(self, params):
        super().complete(params)


class NumberedScenario(ToyTask):
    def scenario_fingerprint(self, params):
        return 3


class NumberedTeacher(ToyTask):
    def teacher_fingerprint(self, params):
        return 3


class TensorData(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        data = super().load_scenario(params, cache_dir=cache_dir, progress=progress)
        data.train["noise"] = torch.zeros(64)
        return data


class ListData(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        data = super().load_scenario(params, cache_dir=cache_dir, progress=progress)
        data.val["noise"] = [0.0, 1.0]
        return data


class TupleData(ToyTask):
    def load_scenario(self, params, *, cache_dir, progress):
        return {}, {}, {}


class BareBaselines(ToyTask):
    def baselines(self, params, data):
        return None


class WordyBaselines(ToyTask):
    def baselines(self, params, data):
        return [Baseline(name="PCA", params={}, metrics={"ue_flops": "few"})]


class NoModels(ToyTask):
    def models(self):
        return None


class BareDeployable(ToyTask):
    def deployable(self, params, weights):
        return None


class StripedStudent(Ended):
    """Right, though its memory lies in stripes and its numbers are NumPy's and torch's."""

    def end(self, outcome):
        error = np.repeat(outcome.weights["error"], 4)[::2]
        metrics = {name: torch.tensor(value) for name, value in outcome.metrics.items()}
        return Outcome(
            metrics={**metrics, "val_nmse_db": np.float64(outcome.metrics["val_nmse_db"])},
            weights={"error": error},
        )
