import json
import math

import numpy as np
import pytest
from lidar_trials import (
    DISTILLING,
    METHODS,
    OF_NETWORKS,
    ON_DATA,
    TASK,
    WITHOUT_DATA,
    tiny,
    trained_teacher,
)
from lidar_trials import trained_student as trained

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import ScenarioData, TeacherArtifact
from kdtasks.data.splits import SPLITS
from kdtasks.learning.labels import IGNORED
from kdtasks.lidar_beam.methods.batches import scans_of
from kdtasks.lidar_beam.methods.job import label_judge
from kdtasks.lidar_beam.settings import resolve
from kdtasks.lidar_beam.students import restored
from kdtasks.sensing.deepsense.write import write_scenario

QUALITY = ("val_top1", "val_top5", "val_top5_t3", "val_dba_top3")


@pytest.fixture(scope="module")
def outcomes(lidar_data_tiny, lidar_teacher):
    return {
        method: trained(lidar_data_tiny, taught(method, lidar_teacher), method=method)
        for method in METHODS
    }


def taught(method, teacher):
    return teacher if method in DISTILLING else None


def same_weights(one, other):
    return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize("method", METHODS)
def test_all_metrics_are_declared_and_finite(outcomes, method):
    reports, outcome = outcomes[method]
    terms = {name for name in TASK.metrics if name.startswith("generator_")}
    assert not outcome.metrics.keys() & OF_NETWORKS
    assert outcome.metrics.keys() <= TASK.metrics.keys()
    assert outcome.metrics.keys() >= TASK.metrics.keys() - terms - OF_NETWORKS
    assert (outcome.metrics.keys() & terms == set()) == (method != "datafree")
    assert all(isinstance(v, float) and math.isfinite(v) for v in outcome.metrics.values())
    assert TASK.cost(tiny(method=method)).items() <= outcome.metrics.items()
    # Two epochs of 20 steps for a generator, then two of the student.
    count = 4 if method == "datafree" else 2
    assert [report.epoch for report in reports] == list(range(1, count + 1))
    assert {report.epochs for report in reports} == {count}
    assert set(QUALITY) <= reports[-1].metrics.keys()


def test_each_term_of_a_generator_is_named_on_its_own(outcomes):
    reports, outcome = outcomes["datafree"]
    groups = ("moments", "softmax", "covariance", "inputs")
    for metrics in (reports[0].metrics, reports[1].metrics, outcome.metrics):
        each = [metrics[f"generator_metadata_{group}"] for group in groups]
        assert metrics["generator_metadata"] == pytest.approx(sum(each), rel=1e-4)
        assert metrics["generator_total"] == pytest.approx(metrics["generator_metadata"], rel=1e-4)
        assert metrics["generator_activation"] < 0.0 > metrics["generator_entropy"]
    assert "generator_metadata_final" not in outcome.metrics


@pytest.mark.parametrize("method", WITHOUT_DATA)
def test_a_student_without_data_reads_none(lidar_data_tiny, lidar_teacher, outcomes, method):
    # Whatever the training split holds, and whatever the teacher said of it.
    rng = np.random.default_rng(0)
    train = {name: rng.permutation(array) for name, array in lidar_data_tiny.train.items()}
    train["lidar"] = np.full_like(train["lidar"], np.nan)
    outputs = {name: v for name, v in lidar_teacher.outputs.items() if name != "logits"}
    stripped = TeacherArtifact(
        metrics=lidar_teacher.metrics, weights=lidar_teacher.weights, outputs=outputs
    )
    blind = ScenarioData(
        train=train, val=lidar_data_tiny.val, test=lidar_data_tiny.test, provenance={}
    )
    _, outcome = trained(blind, stripped, method=method)
    assert same_weights(outcome, outcomes[method][1])


@pytest.mark.parametrize("selection", ["none", "synthetic", "real"])
def test_only_selection_on_real_data_reads_at_validation_data(
    lidar_data_tiny, lidar_teacher, selection
):
    params = {"method": "prior", "selection": selection, "epochs": 5, "learning_rate": 0.05}
    val = dict(lidar_data_tiny.val)
    _, one = trained(lidar_data_tiny, lidar_teacher, **params)
    # Labels that the teacher is against, so that the untaught first epoch is the best one.
    wrong = np.full_like(val["label"], 63)
    other_val = ScenarioData(
        train=lidar_data_tiny.train, val={**val, "label": wrong}, test={}, provenance={}
    )
    _, other = trained(other_val, lidar_teacher, **params)
    assert same_weights(one, other) == (selection != "real")
    assert TASK.complete(tiny(**params))["selection"] == selection


def test_the_chosen_epoch_is_the_one_of_the_least_loss(lidar_data_tiny, lidar_teacher):
    # At such a rate epochs differ, and the last is not the best.
    params = {"epochs": 6, "learning_rate": 0.3, "seed": 2}
    reports, last = trained(lidar_data_tiny, **params)
    _, best = trained(lidar_data_tiny, **params, selection="real")
    tops = [report.metrics["val_top5"] for report in reports]
    assert last.metrics["val_top5"] == tops[-1]
    assert best.metrics["val_top5"] in tops
    judge = label_judge(scans_of(lidar_data_tiny.val))
    losses = [
        judge(restored(resolve(tiny(**params)), outcome.weights, teacher=False))
        for outcome in (best, last)
    ]
    assert losses[0] < losses[1]


def test_bytes_to_the_edge_are_what_each_method_needs(lidar_data_tiny, lidar_teacher, outcomes):
    sent = {method: outcome.metrics["bytes_to_edge"] for method, (_, outcome) in outcomes.items()}
    train = lidar_data_tiny.train
    model = 4 * 96_640
    assert sent["gaussian"] == sent["prior"] == sent["untrained"] == model
    metadata = sum(
        lidar_teacher.outputs[f"metadata.{group}"].nbytes
        for group in ("moments", "softmax", "covariance", "inputs")
    )
    assert sent["datafree"] == model + metadata
    scans = train["lidar"].nbytes + train["window"].nbytes + train["label"].nbytes
    assert sent["vanilla"] == scans
    assert sent["ordinary"] == scans + 4 * 4 * 64 * len(train["label"])
    assert sent["feature"] == sent["relation"] == scans + 4 * 4 * 128 * len(train["label"])
    for method, (_, outcome) in outcomes.items():
        expected = 0 if method in WITHOUT_DATA else len(train["lidar"])
        assert outcome.metrics["scans_to_edge"] == expected


def test_what_travels_changes_the_bytes_and_not_the_student(
    lidar_data_tiny, lidar_teacher, outcomes
):
    _, outcome = trained(lidar_data_tiny, lidar_teacher, method="datafree", travels="generator")
    ours, theirs = outcome.metrics, outcomes["datafree"][1].metrics
    assert ours["bytes_to_edge"] == 4 * (96_640 + 22_414)
    assert ours["edge_core_seconds"] < ours["train_core_seconds"]
    assert theirs["edge_core_seconds"] == theirs["train_core_seconds"]
    assert same_weights(outcome, outcomes["datafree"][1])
    assert ours["teacher_forward_samples"] == 40 * 8 + 2 * 48


def test_a_teacher_from_before_it_had_features_is_run_for_them_once(
    lidar_data_tiny, lidar_teacher, outcomes
):
    known = {name: v for name, v in lidar_teacher.outputs.items() if name != "features"}
    old = TeacherArtifact(metrics={}, weights=lidar_teacher.weights, outputs=known)
    _, outcome = trained(lidar_data_tiny, old, method="feature")
    windows = len(lidar_data_tiny.train["label"])
    assert outcome.metrics["teacher_forward_samples"] == windows
    assert outcomes["feature"][1].metrics["teacher_forward_samples"] == 0
    ours, theirs = outcome.weights, outcomes["feature"][1].weights
    assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in ours)


def test_methods_learn_from_different_windows(outcomes):
    weights = [outcome.weights["head.weight"] for _, outcome in outcomes.values()]
    for index, one in enumerate(weights):
        assert not any(np.array_equal(one, other) for other in weights[index + 1 :])


@pytest.mark.parametrize("method", ON_DATA)
def test_without_its_term_a_teacher_makes_no_difference(
    lidar_data_tiny, lidar_teacher, outcomes, method
):
    _, alone = trained(lidar_data_tiny, lidar_teacher, method=method, alpha=0.0)
    assert same_weights(alone, outcomes["vanilla"][1])


def test_the_published_recipe_runs_as_it_is(lidar_data_tiny, lidar_teacher):
    params = {
        "method": "datafree",
        "generator": "dense",
        "metadata": "final",
        "fresh": False,
        "taught_steps": "all",
        "soft_loss": "mse",
        "selection": "real",
    }
    _, outcome = trained(lidar_data_tiny, lidar_teacher, **params)
    assert outcome.metrics["generator_metadata_final"] == pytest.approx(
        outcome.metrics["generator_total"], rel=1e-4
    )
    # 256 numbers, their names and a hash.
    assert 4 * 256 < outcome.metrics["bytes_to_edge"] - 4 * 96_640 < 4 * 256 + 400
    assert outcome.metrics["teacher_forward_samples"] == 40 * 8 + 48


def test_metadata_that_were_changed_on_the_way_train_nobody(lidar_data_tiny, lidar_teacher):
    outputs = {name: array.copy() for name, array in lidar_teacher.outputs.items()}
    outputs["metadata.softmax"][100] ^= 1
    forged = TeacherArtifact(metrics={}, weights=lidar_teacher.weights, outputs=outputs)
    with pytest.raises(DataError, match="metadata 'softmax' is not what was sealed"):
        trained(lidar_data_tiny, forged, method="datafree")
    trained(lidar_data_tiny, forged, method="datafree", metadata="final", epochs=1)


def test_the_twin_comes_back_from_disk_split_by_passage(tmp_path, lidar_data_tiny):
    site = tmp_path / "site"
    whole = {name: getattr(lidar_data_tiny, name) for name in SPLITS}
    write_scenario(site, whole, picture="png")
    params = tiny(scenario="deepsense", data_path=str(site))
    data = TASK.load_scenario(params, cache_dir=tmp_path / "cache", progress=lambda *_: None)
    passages = [set(np.unique(getattr(data, name)["passage"]).tolist()) for name in SPLITS]
    # Seven passages, 70 % rounded down and what 85 % leaves.
    assert [len(found) for found in passages] == [4, 1, 2]
    assert sum(len(found) for found in passages) == len(set.union(*passages))
    scans = np.concatenate([getattr(data, name)["lidar"] for name in SPLITS])
    written = np.concatenate([split["lidar"] for split in whole.values()])
    np.testing.assert_allclose(scans, written, atol=1e-5)
    own = TASK.own_data(site, {})
    assert TASK.scenario_fingerprint(tiny(**own.parameters)) == TASK.scenario_fingerprint(params)
    assert not own.idle & TASK.complete(params).keys()
    _, outcome = trained(data, scenario="deepsense", data_path=str(site))
    assert all(math.isfinite(outcome.metrics[name]) for name in QUALITY)


def test_a_slot_without_labels_is_refused(tmp_path, monkeypatch, lidar_data_tiny):
    label = lidar_data_tiny.val["label"].copy()
    label[:, 2] = IGNORED
    broken = ScenarioData(
        train=lidar_data_tiny.train,
        val={**lidar_data_tiny.val, "label": label},
        test=lidar_data_tiny.test,
        provenance={},
    )
    monkeypatch.setattr("kdtasks.sensing.sources.load_street", lambda *_, **__: broken)
    with pytest.raises(DataError, match="the val split has no label for slot t2"):
        TASK.load_scenario(tiny(), cache_dir=tmp_path, progress=lambda *_: None)


def test_the_networks_are_described_to_the_unit():
    rows = {row["model"]: row for row in TASK.models()}
    assert {name: (row["params"], row["published"]) for name, row in rows.items()} == {
        "cnn-gru teacher": (189_952, True),
        "gru teacher": (96_640, True),
        "student": (8_096, True),
        "objects generator": (22_414, False),
        "dense generator": (287_040, True),
        "dense-deep generator": (303_552, True),
    }
    assert rows["student"]["bytes"] == 4 * 8_096
    json.dumps(list(rows.values()))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_cnn_teacher_teaches_too(lidar_data_tiny):
    params = {"teacher": "cnn-gru", "method": "prior"}
    teacher = trained_teacher(lidar_data_tiny, **params)
    assert teacher.metrics["params"] == 189_952
    _, outcome = trained(lidar_data_tiny, teacher, **params)
    assert outcome.metrics["bytes_to_edge"] == 4 * 189_952
