from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from csi_examples import drained, silent
from hypothesis import given
from hypothesis import strategies as st
from two_networks import Angle, Clusters, Noisy, cluster

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.settings import param
from kdtasks.contract.task import digest
from kdtasks.distillation.settings import METHODS
from kdtasks.distillation.splits import Splits, metric
from kdtasks.learning.distillation import projection
from kdtasks.learning.training import DivergedError
from sweeps.plan.contract import broken_laws

QUICK = {"epochs": 2, "teacher_epochs": 2}
DEPLOYMENTS = [
    {"topology": "centralized"},
    {"topology": "decentralized", "method": "feature"},
    {"topology": "semi-centralized", "anchor_weight": 0.5, "rehearsal_share": 0.5},
    {"topology": "mutual", "method": "vanilla", "rounds": 2, "anchor_weight": 0.5},
    {"topology": "self", "method": "vanilla", "rounds": 2},
]


def params_of(**given):
    taught = given.get("method", "response") not in ("vanilla", "self")
    return {**(QUICK if taught else {"epochs": 2}), **given}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_contract(method, tmp_path):
    assert broken_laws("two_networks:Clusters", params_of(method=method), tmp_path) == []


@pytest.mark.parametrize("method", ["vanilla", "response", "relation", "two_networks:halved"])
def test_numbers_and_several_inputs_keep_the_contract(method, tmp_path):
    assert broken_laws("two_networks:Angle", params_of(method=method), tmp_path) == []


def deployed(**deployment):
    params = params_of(num_edges=3, edge_epochs=1, proxy_samples=20, **deployment)
    if deployment["topology"] in ("centralized", "decentralized"):
        params.pop("edge_epochs")
    if deployment["topology"] != "mutual":
        params.pop("proxy_samples")
    return params


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=[one["topology"] for one in DEPLOYMENTS])
def test_every_topology_keeps_the_contract(deployment, tmp_path):
    assert broken_laws("two_networks:Clusters", deployed(**deployment), tmp_path) == []


@pytest.fixture(scope="module")
def clusters():
    task = Clusters()
    params = task.complete({"method": "feature", "epochs": 12, "teacher_epochs": 30})
    data = task.load_scenario(params, cache_dir=None, progress=silent)
    teacher = drained(task.train_teacher(params, data.train, data.val))[1]
    return task, params, data, teacher


def trained(clusters, **changes):
    task, params, data, teacher = clusters
    params = task.complete({**params, **changes})
    teacher = teacher if task.teacher_fingerprint(params) else None
    return drained(task.train_student(params, data.train, data.val, teacher))


def test_a_projection_is_made_for_features_of_another_width_and_dropped(clusters):
    _, outcome = trained(clusters)
    assert {*outcome.weights} == {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}
    assert outcome.metrics["params"] == 4 * 2 + 4 + 5 * 4 + 5
    assert outcome.metrics["macs"] == 4 * 2 + 5 * 4


def test_what_diverges_names_the_rate_of_its_own_training(clusters):
    class Diverging(Clusters):
        name, metrics = "diverging", Clusters.scores
        calls = 0

        def loss(self, outputs, targets):
            self.calls += 1
            return super().loss(outputs, targets) * (1.0 if self.calls == 1 else float("nan"))

    _, params, data, teacher = clusters
    given = (params, data.train, data.val)
    with pytest.raises(DivergedError, match=r"lower teacher_rate=0\.002"):
        drained(Diverging().train_teacher(*given))
    with pytest.raises(DivergedError, match=r"lower learning_rate=0\.002"):
        drained(Diverging().train_student(*given, teacher))


def test_alpha_one_does_not_look_at_labels(clusters):
    task, params, data, teacher = clusters
    params = task.complete({**params, "method": "response", "alpha": 1.0})
    wrong = {**data.train, "y": (data.train["y"] + 1) % 5}
    one, other = (
        drained(task.train_student(params, train, data.val, teacher))[1].weights
        for train in (data.train, wrong)
    )
    assert digest(one) == digest(other)


def test_generations_are_trained_one_after_the_other(clusters):
    once = {"alpha": 0.5, "temperature": 2.0, "epochs": 3}
    reports, outcome = trained(clusters, method="self", generations=3, **once)
    assert [report.epoch for report in reports] == list(range(1, 10))
    assert outcome.metrics["train_samples"] == 3 * 3 * (300 // 64) * 64


def test_the_teacher_beats_what_answers_the_same_to_everything(clusters):
    task, params, data, teacher = clusters
    [majority] = task.baselines(params, data)
    classes = np.bincount(data.train["y"]).argmax()
    assert majority.metrics["val_accuracy"] == pytest.approx(
        100 * np.mean(data.val["y"] == classes), abs=1e-4
    )
    assert teacher.metrics["val_accuracy"] > 70 > majority.metrics["val_accuracy"]


def test_what_decides_a_teacher_is_in_its_fingerprint_and_nothing_else():
    task = Clusters()

    def prints(**changes):
        return task.teacher_fingerprint(task.complete(changes)), task.scenario_fingerprint(changes)

    teacher, scenario = prints()
    for same in ({"width": 9}, {"seed": 3}, {"alpha": 0.1}, {"method": "feature"}):
        assert prints(**same) == (teacher, scenario)
    for other in ({"teacher_width": 9}, {"teacher_seed": 3}, {"teacher_epochs": 1}):
        assert prints(**other)[0] != teacher
        assert prints(**other)[1] == scenario
    assert prints(points=60)[1] != scenario
    assert prints(method="vanilla")[0] is None

    class Renewed(Clusters):
        name = "clusters"
        metrics = Clusters.scores
        version = 2

    assert Renewed().teacher_fingerprint({}) != teacher


class Peeking(Clusters):
    name = "peeking"
    metrics = Clusters.scores
    parameters = {**Clusters.parameters, "noise": param(1.0)}

    def data(self, p):
        return super().data(p) if p.noise else None


def test_data_are_made_once_for_shapes_worst_values_and_the_load_and_anew_for_the_next_load():
    made = []

    class Counted(Angle):
        name = "counted"
        metrics = Angle.scores

        def data(self, p):
            made.append(1)
            return super().data(p)

    task = Counted()
    assert task.cost({})["macs"] == 9
    assert task.worst_values({})["val_mse"] > 1
    first = task.load_scenario({}, cache_dir=None, progress=silent)
    assert (task.cost({})["macs"], len(made)) == (9, 1)
    again = task.load_scenario({}, cache_dir=None, progress=silent)
    assert (digest(again.val), len(made)) == (digest(first.val), 2)


class Slow(Clusters):
    """Keeps what it has drawn, in a file per content of the file that it is told to read."""

    name = "slow"
    metrics = Clusters.scores
    parameters = {**Clusters.parameters, "file": param("", decides="data")}

    def input_shapes(self, p):
        return ((2,),)

    def data_identity(self, p):
        return {"file": Path(p.file).read_text()}

    def data(self, p):
        kept = p.place.cache_dir / Path(p.file).read_text()
        if not kept.exists():
            p.place.progress(1, 1, "draws")
            kept.touch()
        return replace(super().data(p), facts={"licence": "none"})


def test_what_is_slow_to_make_is_kept_and_known_by_the_content_of_files(tmp_path):
    task, made = Slow(), []
    for name, content in (("one", "a"), ("same", "a"), ("other", "b")):
        (tmp_path / name).write_text(content)
    cache = tmp_path / "cache"
    cache.mkdir()
    identities = []
    for name in ("one", "same", "other"):
        params = params_of(file=str(tmp_path / name))
        identities.append((task.scenario_fingerprint(params), task.teacher_fingerprint(params)))
        assert task.cost(params)["macs"] > 0
        found = task.load_scenario(
            params, cache_dir=cache, progress=lambda *what: made.append(what)
        )
        assert found.provenance["licence"] == "none"
    assert (made, len(set(identities))) == ([(1, 1, "draws")] * 2, 2)


def test_the_place_of_slow_data_is_for_the_load_alone(tmp_path):
    class Unshaped(Slow):
        name = "unshaped"
        metrics = Clusters.scores

        def input_shapes(self, p):
            return ()

    (tmp_path / "one").write_text("a")
    with pytest.raises(ConfigError, match="input_shapes"):
        Unshaped().cost(params_of(file=str(tmp_path / "one")))
    placed = {"parameters": {"place": param(1)}}
    with pytest.raises(TypeError, match="'place'"):
        type("Named", (Clusters,), {"metrics": Clusters.scores, "name": "named", **placed})


@given(widths=st.lists(st.integers(1, 6), min_size=1, max_size=12), data=st.data())
def test_students_are_built_once_for_what_they_read(widths, data):
    """One reads ``extra`` only where it is wide, so what is read depends on what was read."""
    built = []

    class Branching(Clusters):
        name = "branching"
        metrics = Clusters.scores
        parameters = {**Clusters.parameters, "extra": param(1, low=1, high=3)}

        def student(self, p):
            width = p.width if p.width < 4 else p.width + p.extra
            built.append(width)
            return super().student(type("P", (), {"width": width}))

    task, architectures = Branching(), set()
    for width in widths:
        extra, rate = data.draw(st.integers(1, 3)), data.draw(st.floats(1e-4, 1e-2))
        found = task.cost({"width": width, "extra": extra, "learning_rate": rate})
        wide = width if width < 4 else width + extra
        assert found["params"] == 3 * wide + 5 * (wide + 1)
        architectures.add((width, extra if width >= 4 else None))
    assert len(built) == len(architectures)


def test_what_data_read_must_be_declared_to_decide_them():
    with pytest.raises(ConfigError, match=r"data\(\) reads parameter 'noise'.*decides='data'"):
        Peeking().load_scenario({}, cache_dir=None, progress=silent)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"method": "features"}, "no method 'features'; there are feature, relation"),
        ({"method": "self", "topology": "centralized"}, "set topology to none"),
        ({"method": "response", "topology": "mutual"}, "set method to vanilla"),
        ({"method": "vanilla", "alpha": 0.3}, "alpha=0.3 has no effect"),
    ],
)
def test_what_does_not_fit_is_refused(params, words):
    with pytest.raises(ConfigError, match=words):
        Clusters().complete(params)


def test_feature_distillation_needs_named_parts():
    with pytest.raises(ConfigError, match="features = "):
        Angle().complete({"method": "feature"})


def test_topologies_need_labels_to_divide_by():
    task = Angle()
    params = task.complete({"topology": "mutual", "method": "vanilla"})
    data = task.load_scenario(params, cache_dir=None, progress=silent)
    with pytest.raises(ConfigError, match="edge_labels"):
        task.share_out(params, data.train, "train")


def test_a_class_without_metrics_is_refused_at_once():
    with pytest.raises(TypeError, match="metrics needs at least one"):
        type("Bare", (Clusters,), {"name": "bare", "metrics": {}})


X, Y = cluster(20, 0)
RIGHT = {"train": (X, Y), "val": (X[:5], Y[:5]), "test": (X[5:9], Y[5:9]), "source": "drawn"}


class Pairs(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return torch.from_numpy(self.rows[index][0]), int(self.rows[index][1])


@given(order=st.permutations(range(20)))
def test_data_sets_tensors_and_arrays_are_the_same_data(order):
    x, y = X[order], Y[order]
    kinds = ((x, y), (torch.from_numpy(x), torch.from_numpy(y)), Pairs([*zip(x, y, strict=True)]))
    made = [Splits(**{**RIGHT, "train": one}).arrays()["train"] for one in kinds]
    assert digest(made[0]) == digest(made[1]) == digest(made[2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": X}, "train is a data set of no pairs"),
        ({"val": (X, Y[:3])}, "val has x 20, y 3 samples"),
        ({"val": (X[:0], Y[:0])}, "at least 1"),
        ({"test": (X[:, :1], Y)}, r"x of test has shape \[20, 1\], of train \[20, 2\]"),
        ({"test": (X, Y)}, "train and test are the same samples"),
        ({"train": (X * np.nan, Y)}, "x of train has values that are NaN"),
        ({"train": (X + 1j, Y)}, "x of train is of type complex"),
        ({"train": (X, np.array(["a"] * 20))}, "y of train is of type <U1"),
    ],
)
def test_data_that_cannot_be_right_are_refused_by_name(change, words):
    with pytest.raises(DataError, match=words):
        Splits(**{**RIGHT, **change}).arrays()


def test_a_metric_is_described_by_its_function():
    assert Clusters.scores["accuracy"].info.description == "Share of samples whose class is found."
    assert metric(lambda _x, _y: 0.0, direction="minimize").info.description == ""


def test_outputs_of_another_shape_than_targets_need_are_refused():
    class Flat(Angle):
        name = "flat"
        metrics = Angle.scores

        def data(self, p):
            found = super().data(p)
            pairs = {n: getattr(found, n) for n in ("train", "val", "test")}
            return Splits(**{n: (x, y[:, 0]) for n, (x, y) in pairs.items()}, source="drawn")

    task = Flat()
    params = task.complete({"method": "vanilla", "epochs": 1})
    data = task.load_scenario(params, cache_dir=None, progress=silent)
    with pytest.raises(ConfigError, match=r"returns shape \[64, 1\] where targets need \[64\]"):
        drained(task.train_student(params, data.train, data.val, None))


@pytest.mark.parametrize(
    ("student", "teacher", "count"),
    [
        ((4,), (9,), 4 * 9 + 9),
        ((4, 5, 5), (9, 5, 5), 4 * 9 + 9),  # channels of a map
        ((7, 4), (7, 9), 4 * 9 + 9),  # features of a sequence
        ((4, 5), (3, 6), 20 * 18 + 18),
    ],
)
def test_a_projection_mixes_channels_where_it_can(student, teacher, count):
    made = projection(student, teacher, seed=0)
    assert sum(p.numel() for p in made.parameters()) == count
    assert made(torch.rand(2, *student)).shape == (2, *teacher)
    assert projection(teacher, teacher, seed=0) is None


def test_a_projection_of_maps_is_a_convolution_of_one_by_one():
    made = projection((4, 5, 6), (9, 5, 6), seed=0)
    maps = torch.rand(3, 4, 5, 6)
    weight, bias = made.linear.weight[:, :, None, None], made.linear.bias
    assert torch.allclose(made(maps), torch.nn.functional.conv2d(maps, weight, bias), atol=1e-6)


@pytest.mark.parametrize("method", ["vanilla", "response", "self"])
def test_a_task_that_augments_keeps_the_contract(method, tmp_path):
    assert broken_laws("two_networks:Noisy", params_of(method=method), tmp_path) == []


@pytest.mark.parametrize("deployment", DEPLOYMENTS[1:4:2], ids=["decentralized", "mutual"])
def test_edges_of_several_widths_keep_the_contract(deployment, tmp_path):
    params = deployed(edge_families="mixed", **deployment)
    assert broken_laws("two_networks:Noisy", params, tmp_path) == []


def test_a_teacher_is_queried_about_every_augmented_sample_and_never_else(clusters):
    _, _, data, teacher = clusters
    task, counts = Noisy(), {}
    for method, rounds in (("vanilla", 0), ("response", 1), ("self", 2)):
        params = task.complete({"method": method, "epochs": 3})
        guide = teacher if method == "response" else None
        outcome = drained(task.train_student(params, data.train, data.val, guide))[1]
        each = outcome.metrics["train_samples"] / max(rounds, 1)
        counts[method] = outcome.metrics["teacher_forward_samples"] / each
    assert counts == {"vanilla": 0, "response": 1, "self": 1}
    assert trained(clusters)[1].metrics["teacher_forward_samples"] == 0


def test_edges_have_students_of_their_own_widths_and_the_costs_are_their_mean():
    task, one = Noisy(), Clusters()
    params = {"topology": "decentralized", "num_edges": 3, "edge_families": "mixed"}
    assert [task.edge_params(params, edge)["width"] for edge in range(3)] == [4, 9, 4]
    sizes = [one.cost({"width": width})["params"] for width in (4, 9, 4)]
    assert task.cost(params)["params"] == pytest.approx(sum(sizes) / 3)
    with pytest.raises(ConfigError, match="edge_families='mixed' needs edge_students"):
        one.complete(params)
    with pytest.raises(TypeError, match="'teacher_width' is no parameter of the student alone"):
        type("Wrong", (Clusters,), {"edge_students": ({"teacher_width": 8},)})
