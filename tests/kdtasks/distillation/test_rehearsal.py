"""What does not fit in a user's task of two networks is named before anything is trained."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from csi_examples import silent
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from two_networks import Angle, Clusters, Net, Noisy, cluster

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import digest
from kdtasks.distillation.settings import METHODS
from kdtasks.distillation.splits import Splits, metric

METRICS = Clusters.scores


def cut(network, count):
    network.head = nn.Linear(network.head.in_features, count)
    return network


class Three(Clusters):
    name, metrics = "three", METRICS

    def student(self, p):
        return cut(Net(p.width), 3)


class Twelve(Clusters):
    name, metrics = "twelve", METRICS

    def student(self, p):
        return cut(Net(p.width), 12)


class SmallTeacher(Clusters):
    name, metrics = "small-teacher", METRICS

    def teacher(self, p):
        return cut(Net(8), 4)


class Pair(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x), x


class Tuple(Clusters):
    name, metrics, features = "tuple", METRICS, ("", "")

    def student(self, p):
        return Pair(Net(p.width))


class Inputs(Clusters):
    name, metrics, features = "inputs", METRICS, ("", "")

    def student(self, p):
        return nn.Linear(3, 5)


class Fails(Clusters):
    name, metrics = "fails", METRICS

    def student(self, p):
        raise RuntimeError("no weights")


class Flat(Clusters):
    name, metrics, features = "flat", METRICS, ("", "")

    def student(self, p):
        return nn.Sequential(nn.Linear(2, 5), nn.Flatten(0))


class Labels(Clusters):
    """Labels are changed by a function of its own."""

    metrics = METRICS

    def labels(self, y):
        return y + 1

    def data(self, p):
        made = {name: cluster(50, n) for n, name in enumerate(("train", "val", "test"))}
        return Splits(**{n: (x, self.labels(y)) for n, (x, y) in made.items()}, source="drawn")


class FromOne(Labels):
    name, metrics = "from-one", METRICS


class Negative(Labels):
    name, metrics = "negative", METRICS

    def labels(self, y):
        return y - 1


class OneHot(Labels):
    name, metrics = "one-hot", METRICS

    def labels(self, y):
        return np.eye(5, dtype=np.int64)[y]


class Real(Labels):
    name, metrics = "real", METRICS

    def labels(self, y):
        return y.astype(np.float32)


class LossOfSamples(Clusters):
    name, metrics = "loss-of-samples", METRICS

    def loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, reduction="none")


class LossOfNothing(Clusters):
    name, metrics = "loss-of-nothing", METRICS

    def loss(self, outputs, targets):
        return (outputs.argmax(-1) == targets).float().mean()


class LossNan(Clusters):
    name, metrics = "loss-nan", METRICS

    def loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets) * float("nan")


class LossOfFive(Clusters):
    """Its own loss has five classes as well."""

    name, metrics = "loss-of-five", METRICS

    def loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs[:, :2], targets)


class Log(nn.Module):
    def forward(self, x):
        return (x - x.max() - 1.0).log()


class NanOutputs(Clusters):
    name, metrics, features = "nan-outputs", METRICS, ("", "")

    def student(self, p):
        return nn.Sequential(Net(p.width), Log())


def per_sample(outputs, targets):
    return (outputs.argmax(-1) == targets).float()


def of_three(outputs, targets):
    return outputs[:, 5].mean()


class MetricOfSamples(Clusters):
    name, metrics = "metric-of-samples", {"hits": metric(per_sample, direction="maximize")}


class MetricFails(Clusters):
    name, metrics = "metric-fails", {"sixth": metric(of_three, direction="maximize")}


def rehearsed(task, *trials):
    params = [task.complete(one) for one in trials or ({"method": "vanilla"},)]
    data = task.load_scenario(params[0], cache_dir=None, progress=silent)
    task.rehearse(params, data)
    return data


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            Three,
            ["the Net of student() of test_rehearsal.py", ", 3]", "0 to 4", "give it 5 outputs"],
        ),
        (SmallTeacher, ["teacher() of test_rehearsal.py", "give it 5 outputs"]),
        (Tuple, ["Pair of student() of test_rehearsal.py", "a tuple", "outputs alone"]),
        (Inputs, ["Linear of student()", ", 2]", "mat1 and mat2", "as data() gives them"]),
        (Fails, ["student() of test_rehearsal.py", "no weights", "line "]),
        (Flat, ["student()", "return a row for each"]),
        (FromOne, ["labels of train go from 1 to 5", "y - 1"]),
        (Negative, ["labels of train go from -1 to 3", "-100"]),
        (OneHot, ["one-hot", "argmax(-1)"]),
        (Real, ["classes are integers"]),
        (LossOfSamples, ["loss() of test_rehearsal.py", "shape [", ".mean()"]),
        (LossOfNothing, ["loss() of test_rehearsal.py", "no gradient"]),
        (LossNan, ["loss() of test_rehearsal.py returns nan", "away from 0"]),
        (LossOfFive, ["loss() of test_rehearsal.py fails", "out of bounds"]),
        (NanOutputs, ["student() of test_rehearsal.py", "NaN"]),
        (
            MetricOfSamples,
            ["metric 'hits', per_sample() of test_rehearsal.py", "shape [200]", "one number"],
        ),
        (MetricFails, ["metric 'sixth', of_three() of test_rehearsal.py", "index 5"]),
    ],
)
def test_what_does_not_fit_is_named_with_its_function_and_file(task, words):
    with pytest.raises(ConfigError) as refused:
        rehearsed(task(), {"method": "response"})
    message = str(refused.value)
    assert "\n" not in message
    assert [part for part in words if part not in message] == [], message


def test_a_cost_that_cannot_be_counted_names_the_student_too():
    with pytest.raises(ConfigError, match=r"student\(\) of test_rehearsal.py .*\[2\]: Runtime"):
        Inputs().cost(Inputs().complete({"method": "vanilla"}))


def test_more_outputs_than_classes_are_fine_without_a_teacher_and_refused_with_one():
    rehearsed(Twelve())
    with pytest.raises(ConfigError, match=r"12\].*5\].*response"):
        rehearsed(Twelve(), {"method": "response"})


@pytest.mark.parametrize("name", ["per_sample", "detached", "raising", "logarithm"])
def test_a_loss_of_the_users_own_is_tried(name):
    with pytest.raises(ConfigError, match=f"own_parts:{name}"):
        rehearsed(Clusters(), {"method": f"own_parts:{name}"})


@pytest.mark.parametrize("task", [Clusters, Noisy, Angle])
def test_what_fits_passes_and_leaves_data_and_generators_as_they_are(task):
    methods = [m for m in METHODS if m != "feature" or all(task.features)]
    before = torch.get_rng_state()
    one = task()
    params = [one.complete({"method": m}) for m in [*methods, "two_networks:halved"]]
    data = one.load_scenario(params[0], cache_dir=None, progress=silent)
    contents = [digest(split) for split in (data.train, data.val, data.test)]
    one.rehearse(params, data)
    assert [digest(split) for split in (data.train, data.val, data.test)] == contents
    assert torch.equal(torch.get_rng_state(), before)


def test_ignored_labels_are_no_wrong_ones_and_single_samples_are_enough():
    task = Clusters()
    params = task.complete({"method": "vanilla"})
    data = task.load_scenario(params, cache_dir=None, progress=silent)
    hidden = {**data.train, "y": np.where(data.train["y"] == 0, -100, data.train["y"])}
    task.rehearse([params], replace(data, train=hidden))
    task.rehearse([params], replace(data, train={n: a[:1] for n, a in data.train.items()}))


@given(batch=st.integers(1, 100), taught=st.integers(1, 100))
def test_batches_are_no_larger_than_those_of_training(batch, taught):
    """What is made for batches of a size is given them; 64 samples are enough of any."""
    seen = {"student": set(), "teacher": set()}

    class Counting(nn.Module):
        def __init__(self, network, name):
            super().__init__()
            self.body, self.head, self.name = network.body, network.head, name

        def forward(self, x):
            if self.training:
                seen[self.name].add(len(x))
            return self.head(self.body(x))

    class Counted(Clusters):
        name, metrics = "counted", METRICS

        def teacher(self, p):
            return Counting(Net(8), "teacher")

        def student(self, p):
            return Counting(Net(4), "student")

    rehearsed(Counted(), {"method": "response", "batch_size": batch, "teacher_batch": taught})
    assert seen == {"student": {min(batch, 64)}, "teacher": {min(taught, 64)}}


def test_the_trial_is_named_where_trials_differ():
    class Narrow(Clusters):
        name, metrics = "narrow", METRICS

        def student(self, p):
            return Net(p.width) if p.width < 9 else cut(Net(p.width), 2)

    trials = [{"method": "vanilla", "width": width} for width in (4, 16)]
    with pytest.raises(ConfigError, match=re.escape("(width=16)")):
        rehearsed(Narrow(), *trials)


def test_edges_with_students_of_their_own_are_tried():
    class Mixed(Clusters):
        name, metrics, edge_students = "mixed", METRICS, ({}, {"width": 9})

        def student(self, p):
            return Net(p.width) if p.width != 9 else cut(Net(p.width), 2)

    deployed = {"method": "vanilla", "topology": "self", "num_edges": 2}
    rehearsed(Mixed(), deployed)
    with pytest.raises(ConfigError, match="give it 5 outputs"):
        rehearsed(Mixed(), {**deployed, "edge_families": "mixed"})
