import json
import math
from dataclasses import replace

import numpy as np
import pytest
from csi_examples import TASK, drained, silent, tiny, trained_student, trained_teacher
from matlab_files import write_v5

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.learning.complexity import count

TWO = {"second_scenario": "site-umi-nlos"}


@pytest.fixture(scope="module")
def two_scenarios(tmp_path_factory):
    cache = tmp_path_factory.mktemp("two")
    return TASK.load_scenario(tiny(**TWO), cache_dir=cache, progress=silent)


@pytest.mark.parametrize(
    "encoder",
    [
        {"encoder_depth": 0},
        {"encoder_depth": 3, "encoder_width": 5, "encoder_kernel": 5, "encoder_factorised": True},
        {"encoder": "crnet"},
    ],
)
def test_every_student_can_be_trained_and_restored(tiny_data, encoder):
    _, outcome = trained_student(tiny_data, **encoder)
    again = TASK.evaluate(tiny(**encoder), outcome.weights, tiny_data.val)
    assert again["nmse_db"] == outcome.metrics["val_nmse_db"]


def test_weights_of_another_student_are_refused(tiny_data):
    _, outcome = trained_student(tiny_data)
    with pytest.raises(DataError, match="weights do not fit Autoencoder"):
        TASK.evaluate(tiny(encoder_depth=2, encoder_width=4), outcome.weights, tiny_data.val)


def test_the_teachers_weights_reproduce_its_metric_and_outputs(tiny_data, tiny_teacher):
    params = tiny(method="encoder-kd")
    again = TASK.evaluate_teacher(params, tiny_teacher.weights, tiny_data.val)
    assert again["nmse_db"] == tiny_teacher.metrics["val_nmse_db"]
    assert tiny_teacher.outputs["codewords"].shape == (240, 32)
    assert tiny_teacher.outputs["pictures"].shape == tiny_data.train["pictures"].shape
    # Outputs are in the order of the samples: as pictures they score what the teacher scores.
    errors = np.square(tiny_teacher.outputs["pictures"] - tiny_data.train["pictures"])
    power = np.square(tiny_data.train["pictures"] - 0.5).sum((1, 2, 3))
    expected = 10.0 * math.log10(np.mean(errors.sum((1, 2, 3)) / power))
    train = TASK.evaluate_teacher(params, tiny_teacher.weights, tiny_data.train)
    assert train["nmse_db"] == pytest.approx(expected, abs=1e-4)


def test_cost_is_known_before_training_and_follows_the_student():
    cost = TASK.cost(tiny())
    counted = count(LightEncoder(8, 8, 32, LightShape()), (2, 8, 8))
    assert (cost["ue_flops"], cost["ue_params"]) == (counted.flops, counted.params)
    assert cost["payload_bits"] == 32 * 32
    assert TASK.cost(tiny(compression=8))["payload_bits"] == 16 * 32
    assert TASK.cost(tiny(encoder="crnet"))["ue_flops"] > cost["ue_flops"]
    # one report is the same whatever the method
    assert TASK.cost(tiny(method="encoder-kd")) == cost


def test_pca_is_the_baseline_and_its_validation_and_test_scores_are_its_own(tiny_data):
    baseline, *_ = TASK.baselines(tiny(), tiny_data)
    assert baseline.name.startswith("PCA 1/4")
    assert baseline.params["compression"] == 4
    train = tiny_data.train["pictures"].reshape(240, -1).astype(np.float64)
    mean = train.mean(axis=0)
    kept = np.linalg.svd(train - mean, full_matrices=False)[2][:32]
    for split in ("val", "test"):
        truth = getattr(tiny_data, split)["pictures"].reshape(60, -1).astype(np.float64)
        output = mean + (truth - mean) @ kept.T @ kept
        ratio = np.square(output - truth).sum(1) / np.square(truth - 0.5).sum(1)
        expected = 10.0 * math.log10(ratio.mean())
        assert baseline.metrics[f"{split}_nmse_db"] == pytest.approx(expected, abs=1e-3)
    # Per number of the codeword: 2 K - 1 operations on K = 128 entries.
    assert baseline.metrics["ue_flops"] == (2 * 128 - 1) * 32


def test_a_second_scenario_is_scaled_like_the_first(two_scenarios, tiny_data):
    np.testing.assert_array_equal(two_scenarios.train["pictures"], tiny_data.train["pictures"])
    facts = two_scenarios.provenance
    assert facts["first"]["scaling_span"] == facts["second"]["scaling_span"]
    assert facts["second"]["settings"]["scenario"] == "site-umi-nlos"
    json.dumps(facts)


def test_the_teacher_learns_both_scenarios_and_the_student_the_first(two_scenarios):
    teacher = trained_teacher(two_scenarios, method="encoder-kd", **TWO)
    assert {"val_nmse_db", "val_nmse_second_db"} <= teacher.metrics.keys()
    assert len(teacher.outputs["codewords"]) == 240
    params = {"method": "ip-encoder-kd", **TWO}
    _, outcome = trained_student(two_scenarios, teacher, **params)
    assert {"val_nmse_db", "val_nmse_second_db"} <= outcome.metrics.keys()
    # Nothing of the second scenario reaches the student but through the teacher.
    blind = replace(
        two_scenarios,
        train={**two_scenarios.train, "second_pictures": two_scenarios.train["pictures"].copy()},
    )
    _, same = trained_student(blind, teacher, **params)
    assert same.metrics["val_nmse_second_db"] == outcome.metrics["val_nmse_second_db"]
    unlike = trained_teacher(blind, method="encoder-kd", **TWO)
    assert unlike.metrics["val_nmse_db"] != teacher.metrics["val_nmse_db"]
    # A teacher of the first data set alone learns nothing of the second.
    alone = {"method": "encoder-kd", "teacher_data": "first", **TWO}
    ours, same = (trained_teacher(data, **alone) for data in (two_scenarios, blind))
    for name, weights in ours.weights.items():
        np.testing.assert_array_equal(weights, same.weights[name])
    assert ours.metrics["val_nmse_second_db"] > teacher.metrics["val_nmse_second_db"]
    both = tiny(method="encoder-kd", **TWO)
    assert TASK.teacher_fingerprint(tiny(**alone)) != TASK.teacher_fingerprint(both)


def test_two_scenarios_have_two_pca_scores(two_scenarios):
    baseline, *_ = TASK.baselines(tiny(**TWO), two_scenarios)
    names = {
        f"{split}_{name}" for split in ("val", "test") for name in ("nmse_db", "nmse_second_db")
    }
    assert names <= baseline.metrics.keys()
    # fitted on the first scenario, so better there
    assert baseline.metrics["test_nmse_db"] < baseline.metrics["test_nmse_second_db"]


def test_published_pictures_can_be_both_scenarios(tmp_path):
    for suffix in ("in", "out"):
        for seed, split in enumerate(("train", "val", "test")):
            rows = np.random.default_rng([seed, len(suffix)]).uniform(0, 1, (4, 2048))
            write_v5(tmp_path / f"DATA_H{split}{suffix}.mat", HT=rows)
    params = {
        "scenario": "cost2100-indoor",
        "second_scenario": "cost2100-outdoor",
        "data_path": str(tmp_path),
        "num_antennas": 32,
        "num_subcarriers": 32,
        "num_train": 4,
        "num_val": 2,
        "num_test": 2,
        "batch_size": 2,
    }
    data = TASK.load_scenario(params, cache_dir=tmp_path / "cache", progress=silent)
    assert data.train["second_pictures"].shape == (4, 2, 32, 32)
    assert not np.array_equal(data.train["second_pictures"], data.train["pictures"])


def test_the_published_networks_are_described_to_the_unit():
    rows = {(row["model"], row["compression"]): row for row in TASK.models()}
    flops = {key: row["ue_flops"] for key, row in rows.items()}
    assert flops == {
        ("CRNet", "1/16"): 11_407_232,
        ("CRNet-SE", "1/16"): 601_984,
        ("CRNet", "1/32"): 11_145_152,
        ("CRNet-SE", "1/32"): 339_904,
    }
    for row in rows.values():
        assert row["ue_latency_ms"] > 0.0
        assert row["ue_macs"] < row["ue_flops"] / 2
    json.dumps(list(rows.values()))


@pytest.mark.slow
def test_a_network_learns_more_than_nothing_on_the_site(tmp_path):
    # The site has structure that 20 epochs on 1,000 users already find; 0 dB is the zero output.
    params = {"num_train": 1000, "epochs": 20, "method": "vanilla"}
    data = TASK.load_scenario(tiny(**params), cache_dir=tmp_path, progress=silent)
    _, outcome = drained(TASK.train_student(tiny(**params), data.train, data.val, None))
    assert outcome.metrics["val_nmse_db"] < -2.0
