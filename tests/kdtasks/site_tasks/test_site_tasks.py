"""Positioning and channel estimation: data, references, and the contract that all tasks keep."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
from csi_examples import silent

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.task import digest
from kdtasks.data import ray_tracing
from kdtasks.site_tasks.channel_estimation import ChannelEstimation, lmmse_matrix, nmse_db
from kdtasks.site_tasks.positioning import SPAN_M, UserPositioning, error_90_m, mean_error_m
from sweeps.plan.contract import broken_laws

TASKS = {"user-positioning": UserPositioning(), "channel-estimation": ChannelEstimation()}
SITES = ["site-umi-los", "rt:munich"]
SMALL = {"num_train": 400, "num_val": 80, "num_test": 80, "num_antennas": 8, "num_subcarriers": 8}


@pytest.fixture
def data_of(tmp_path, tracer):
    def loaded(task, **changes):
        params = task.complete({**SMALL, "method": "vanilla", **changes})
        return params, task.load_scenario(params, cache_dir=tmp_path, progress=silent)

    return loaded


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    ("method", "scenario"), [("vanilla", "rt:munich"), ("feature", "site-umi-los")]
)
def test_the_contract_is_kept(name, method, scenario, tmp_path, tracer):
    taught = {"teacher_epochs": 1, "teacher_width": 4} if method != "vanilla" else {}
    params = {**SMALL, "scenario": scenario, "method": method, "epochs": 1, **taught}
    assert broken_laws(name, params, tmp_path) == []


@pytest.mark.parametrize(("scenario", "block_m"), [(SITES[0], 10.0), (SITES[1], 20.0)])
def test_no_square_of_the_site_is_in_two_splits(data_of, scenario, block_m):
    _, data = data_of(UserPositioning(), scenario=scenario)
    squares = [
        {tuple(one) for one in np.floor(SPAN_M * split["y"] / block_m).astype(int)}
        for split in (data.train, data.val, data.test)
    ]
    assert not any(a & b for a, b in zip(squares, [*squares[1:], squares[0]], strict=True))
    _, guarded = data_of(UserPositioning(), scenario=scenario, guard_m=2.0)
    gaps = SPAN_M * (guarded.test["y"][:, None] - guarded.train["y"])
    assert np.linalg.norm(gaps, axis=-1).min() > 2.0


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("scenario", SITES)
def test_channels_have_unit_power_and_come_back_from_the_cache_as_they_were(
    name, scenario, data_of, tracer
):
    _, data = data_of(TASKS[name], scenario=scenario)
    inputs = data.train["x"] if name == "user-positioning" else data.train["y"]
    assert inputs.shape == (400, 2, 8, 8)
    assert (inputs**2).sum((1, 2, 3)) / 64 == pytest.approx(1.0, abs=1e-4)
    again = data_of(TASKS[name], scenario=scenario)[1]
    assert digest(again.train) == digest(data.train)
    assert len(tracer) == (scenario == "rt:munich")
    assert "within 1 m" in data.provenance["notes"][0]
    assert data.provenance["synthetic"]
    assert ("ODbL" in data.provenance.get("licence", "")) == (scenario == "rt:munich")


def test_all_tasks_share_the_paths_of_a_traced_site(data_of, tracer):
    for task in TASKS.values():
        data_of(task, scenario="rt:munich")
        data_of(task, scenario="rt:munich?bandwidth_mhz=20")
    assert len(tracer) == 1


def test_shapes_costs_and_worst_values_need_no_data(tracer):
    for name, task in TASKS.items():
        params = {**SMALL, "scenario": "rt:munich"}
        assert task.cost(params)["macs"] > 0
        worst = {"user-positioning": {"val_error_m": 200.0}, "channel-estimation": {}}[name]
        assert worst.items() <= task.worst_values(params).items()
    assert not tracer


def test_data_are_known_by_their_content(tracer, tmp_path, monkeypatch):
    def identity(scenario):
        params = {**SMALL, "scenario": scenario, "method": "response"}
        task = UserPositioning()
        return task.scenario_fingerprint(params), task.teacher_fingerprint(params)

    names = ["site-umi-los", "rt:munich", "rt:etoile", "rt:munich@1,2,30", "rt:munich?depth=2"]
    found = {identity(name) for name in names}
    for place, mesh in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "wall.ply").write_bytes(mesh)
        scene = '<shape type="ply"><string name="filename" value="wall.ply"/></shape>'
        (tmp_path / place / "scene.xml").write_text(scene)
        found.add(identity(f"rt:{tmp_path}/{place}/scene.xml@0,0,10"))
    assert len(found) == len(names) + 2  # where a scene lies does not matter
    monkeypatch.setattr(ray_tracing, "version", lambda _: "another")
    assert identity("rt:munich") not in found


@pytest.mark.parametrize(
    ("scenario", "part"),
    [
        ("tr38901-umi-nlos", "site-umi-los"),
        ("rt:atlantis", "atlantis"),
        ("nowhere", "nowhere"),
        ("cost2100-indoor", "cost2100-indoor"),
    ],
)
def test_what_is_no_site_is_refused_by_name(scenario, part):
    for task in TASKS.values():
        with pytest.raises(ConfigError, match=part):
            task.complete({**SMALL, "scenario": scenario})


def test_without_the_package_one_line_names_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ray_tracing, "version", missing)
    with pytest.raises(DataError, match=r"kdsweep\[rt\]"):
        UserPositioning().scenario_fingerprint({**SMALL, "scenario": "rt:munich"})


def test_errors_are_distances_in_metres():
    targets = torch.zeros(10, 2)
    outputs = torch.tensor([[3.0, 4.0]]).expand(10, 2) * torch.arange(10.0)[:, None] / SPAN_M
    assert float(mean_error_m(outputs, targets)) == pytest.approx(5 * 4.5)
    assert float(error_90_m(outputs, targets)) == pytest.approx(5 * 8.1)


def test_the_nearest_training_user_is_found_and_whoever_was_seen_is_found_exactly(data_of):
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
def test_the_least_squares_estimate_has_the_error_of_its_noise(snr_db, data_of):
    task = ChannelEstimation()
    params, data = data_of(task, snr_db=snr_db)
    estimate, linear = task.baselines(params, data)
    assert (estimate.name, linear.name) == ("LS", "LMMSE")
    assert (estimate.metrics["macs"], linear.metrics["macs"]) == (0.0, 4 * 64**2)
    assert estimate.metrics["val_nmse_db"] == pytest.approx(-snr_db, abs=0.3)
    assert linear.metrics["val_nmse_db"] < estimate.metrics["val_nmse_db"]
    worst = task.worst_values(params)["val_nmse_db"]
    assert worst == pytest.approx(estimate.metrics["val_nmse_db"], abs=0.3)


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
