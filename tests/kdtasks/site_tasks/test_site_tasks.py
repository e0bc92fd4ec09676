"""Positioning and channel estimation: data, references, and the contract that all tasks keep."""

import numpy as np
import pytest
import torch
from csi_examples import silent

from kdtasks.site_tasks.channel_estimation import ChannelEstimation, lmmse_matrix, nmse_db
from kdtasks.site_tasks.positioning import SPAN_M, UserPositioning, error_90_m, mean_error_m
from sweeps.plan.contract import broken_laws

SMALL = {"num_train": 400, "num_val": 80, "num_test": 80, "num_antennas": 8, "num_subcarriers": 8}


def data_of(task, **changes):
    params = task.complete({**SMALL, "method": "vanilla", **changes})
    return params, task.load_scenario(params, cache_dir=None, progress=silent)


@pytest.mark.parametrize("name", ["user-positioning", "channel-estimation"])
@pytest.mark.parametrize("method", ["vanilla", "feature"])
def test_the_contract_is_kept(name, method, tmp_path):
    taught = {"teacher_epochs": 1, "teacher_width": 4} if method != "vanilla" else {}
    assert broken_laws(name, {**SMALL, "method": method, "epochs": 1, **taught}, tmp_path) == []


def test_no_square_of_the_site_is_in_two_splits():
    _, data = data_of(UserPositioning())
    squares = [
        {tuple(one) for one in np.floor(SPAN_M * split["y"] / 10.0).astype(int)}
        for split in (data.train, data.val, data.test)
    ]
    assert not squares[0] & squares[1]
    assert not squares[0] & squares[2]
    assert not squares[1] & squares[2]


def test_errors_are_distances_in_metres():
    targets = torch.zeros(10, 2)
    outputs = torch.tensor([[3.0, 4.0]]).expand(10, 2) * torch.arange(10.0)[:, None] / SPAN_M
    assert float(mean_error_m(outputs, targets)) == pytest.approx(5 * 4.5)
    assert float(error_90_m(outputs, targets)) == pytest.approx(5 * 8.1)


def test_the_nearest_training_user_is_found_and_whoever_was_seen_is_found_exactly():
    task = UserPositioning()
    params, data = data_of(task)
    mean, nearest = task.baselines(params, data)
    assert nearest.metrics["val_error_m"] < mean.metrics["val_error_m"]
    assert nearest.metrics["macs"] == 4 * 400 * 64  # it is compared with every training user
    turned = data.train["x"][:, ::-1] * np.array([-1.0, 1.0])[:, None, None]
    seen = {"x": turned.astype(np.float32), "y": data.train["y"]}
    same = type(data)(train=data.train, val=seen, test=seen, provenance={})
    assert task.baselines(params, same)[1].metrics["val_error_m"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("snr_db", [-5.0, 5.0, 20.0])
def test_the_least_squares_estimate_has_the_error_of_its_noise(snr_db):
    task = ChannelEstimation()
    params, data = data_of(task, snr_db=snr_db)
    estimate, linear = task.baselines(params, data)
    assert (estimate.name, linear.name) == ("LS", "LMMSE")
    assert (estimate.metrics["macs"], linear.metrics["macs"]) == (0.0, 4 * 64**2)
    assert estimate.metrics["val_nmse_db"] == pytest.approx(-snr_db, abs=0.3)
    assert linear.metrics["val_nmse_db"] < estimate.metrics["val_nmse_db"]
    assert np.abs(data.train["y"]).std() > 0
    power = (data.train["y"] ** 2).sum((1, 2, 3)) / 64
    assert power == pytest.approx(1.0, abs=1e-4)


def test_the_linear_estimate_is_that_of_the_formula_and_the_best_linear_one():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    channels = (rng.normal(size=(20000, 4)) + 1j * rng.normal(size=(20000, 4))) @ mix.T
    clean = np.stack([channels.real, channels.imag], 1).reshape(-1, 2, 2, 2)
    matrix = lmmse_matrix(clean, 0.7)
    covariance = channels.T @ channels.conj() / len(channels)
    assert matrix == pytest.approx(covariance @ np.linalg.inv(covariance + 0.7 * np.eye(4)))
    noise = rng.normal(size=channels.shape) + 1j * rng.normal(size=channels.shape)
    noisy = channels + np.sqrt(0.35) * noise
    error = np.mean(np.abs(noisy @ matrix.T - channels) ** 2)
    for _ in range(5):
        other = matrix + 0.05 * (rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)))
        assert np.mean(np.abs(noisy @ other.T - channels) ** 2) > error


def test_nmse_is_the_mean_of_ratios():
    targets = torch.ones(2, 2, 1, 1) * torch.tensor([1.0, 10.0])[:, None, None, None]
    outputs = targets * torch.tensor([1.1, 1.0])[:, None, None, None]
    assert float(nmse_db(outputs, targets)) == pytest.approx(10 * np.log10(0.005), abs=1e-4)
