"""Folders of DeepMIMO v4: paths as they stand there, and the same laws as other sites."""

import json
import shlex

import numpy as np
import pytest
from csi_examples import TASK, silent
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from tried import times
from typer.testing import CliRunner

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data.dataset import CsiData, load_pictures
from kdtasks.csi_feedback.data.deepmimo import PATHS, PLACES, deepmimo_site, fitting_counts
from kdtasks.csi_feedback.data.named_sites import CSI_SITES
from kdtasks.csi_feedback.data.site import draw_positions, trace
from kdtasks.data.splits import SplitPlan, order_by_blocks
from kdtasks.site_tasks.positioning import SPAN_M, UserPositioning
from sweeps.cli.main import app
from sweeps.plan.own_data import study_on

LINK = "t001_tx000_r000"
SAVED = {
    ".mat": lambda file, name, values: savemat(file, {name: values}),
    ".npz": lambda file, name, values: np.savez_compressed(file, **{name: values}),
    ".npy": lambda file, _, values: np.save(file, values),
}
QUIET = {"progress": silent}


def write(folder, matrices, link=LINK, suffix=".mat"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in matrices.items():
        SAVED[suffix](folder / f"{name}_{link}{suffix}", name, np.asarray(values, np.float32))
    (folder / "params.json").write_text(json.dumps({"version": "4.0", "rt_params": {}}))
    return folder


def three_users():
    """Return a user with one path, one with two, and one with none."""
    nan = np.nan
    return {
        "power": [[-60.0, nan], [-70.0, -80.0], [nan, nan]],
        "phase": [[90.0, nan], [0.0, 180.0], [nan, nan]],
        "delay": [[1e-7, nan], [0.0, 2.5e-7], [nan, nan]],
        "aod_az": [[30.0, nan], [0.0, 90.0], [nan, nan]],
        "aod_el": [[90.0, nan], [45.0, 90.0], [nan, nan]],
        "rx_pos": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
        "tx_pos": [[1.0, 1.0, 20.0]],
    }


def many_users(count=700):
    """Return a folder's matrices of a synthetic site; every seventh user has no path."""
    rng = np.random.default_rng(0)
    site = CSI_SITES["site-umi-los"].site
    places = draw_positions(site, count, rng)
    paths = trace(site, places, carrier_hz=3.5e9)
    there = (np.abs(paths.gain_NP) > 0) & (np.arange(count)[:, None] % 7 > 0)
    found = {
        "power": 20.0 * np.log10(np.where(there, np.abs(paths.gain_NP), 1.0)),
        "phase": np.degrees(np.angle(paths.gain_NP)),
        "delay": paths.delay_NP,
        "aod_az": np.degrees(paths.angle_NP),
        "aod_el": np.full(there.shape, 90.0),
    }
    absent = {name: np.where(there, values, np.nan) for name, values in found.items()}
    station = np.array([[100.0, 50.0, 20.0]])
    users = np.hstack([places + station[:, :2], np.full((count, 1), 1.5)])
    return {**absent, "rx_pos": users, "tx_pos": station}


@pytest.mark.parametrize("suffix", SAVED)
def test_paths_are_those_of_the_folder(tmp_path, suffix):
    site = deepmimo_site(f"deepmimo:{write(tmp_path, three_users(), suffix=suffix)}")
    plan = SplitPlan(cell_m=1.0, counts=(0, 1, 1), seed=0)
    paths, positions, facts = site.users(plan, cache_dir=tmp_path, **QUIET)
    assert facts == {"users": 3, "users_without_path": 1}
    first = int(positions[:, 0].argmin())  # users come in random order
    np.testing.assert_allclose(positions[[first, 1 - first]], [[0.0, 1.0], [3.0, 4.0]])
    np.testing.assert_allclose(paths.gain_NP[first], [1e-3 * 1j, 0.0], atol=1e-8)
    np.testing.assert_allclose(paths.gain_NP[1 - first], [10**-3.5, -1e-4], atol=1e-8)
    np.testing.assert_allclose(paths.delay_NP[1 - first], [0.0, 2.5e-7], atol=1e-12)
    assert np.sin(paths.angle_NP[first, 0]) == pytest.approx(0.5)
    np.testing.assert_allclose(np.sin(paths.angle_NP[1 - first]), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(np.sin(paths.elevation_NP[1 - first]), [0.5**0.5, 0.0], atol=1e-6)


def data_of(folder, **changes):
    sizes = {"num_antennas": 8, "num_subcarriers": 8, "counts": (300, 60, 60)}
    return CsiData(**{"scenario": f"deepmimo:{folder}?block_m=10", **sizes, **changes})


def test_a_folder_keeps_the_laws_of_sites(tmp_path):
    folder = write(tmp_path / "campus", many_users())
    data = load_pictures(data_of(folder), cache_dir=tmp_path / "cache", **QUIET)
    assert data.train["pictures"].shape == (300, 2, 8, 8)
    squares = [
        {tuple(square) for square in np.floor(split["positions"] / 10.0)}
        for split in (data.train, data.val, data.test)
    ]
    assert not any(a & b for a, b in zip(squares, [*squares[1:], squares[0]], strict=True))
    assert np.linalg.norm(data.train["positions"], axis=1).max() <= 100.0
    assert data.provenance["users_without_path"] == 100
    assert "campus" in data.provenance["licence"]
    again = load_pictures(data_of(folder), cache_dir=tmp_path / "anew", **QUIET)
    np.testing.assert_array_equal(again.train["pictures"], data.train["pictures"])


def test_data_are_known_by_the_content_of_files(tmp_path):
    names = {}
    for place, angle in (("a", 90.0), ("b", 90.0), ("c", 80.0)):
        matrices = {**three_users(), "aod_el": [[angle, np.nan]] * 3}
        folder = write(tmp_path / place, matrices)
        names[place] = data_of(folder).fingerprint
    assert names["a"] == names["b"] != names["c"]
    planar = data_of(tmp_path / "a", scenario=f"deepmimo:{tmp_path}/a?rows=2")
    assert planar.fingerprint != names["a"]


def test_folders_that_are_none_are_refused_by_name(tmp_path):
    write(tmp_path, three_users(), "t001_tx001_r000")
    other = f"deepmimo:{tmp_path}?link=t001_tx001_r000"
    assert deepmimo_site(other).identity["link"] == "t001_tx001_r000"
    write(tmp_path, three_users())
    with pytest.raises(DataError, match=rf"link=''.*{LINK}, t001_tx001_r000"):
        _ = deepmimo_site(f"deepmimo:{tmp_path}").identity
    for name in (*PATHS, *PLACES):
        folder = write(tmp_path / name, three_users())
        (folder / f"{name}_{LINK}.mat").unlink()
        with pytest.raises(DataError, match=f"{name}_{LINK}|no power_t"):
            _ = deepmimo_site(f"deepmimo:{folder}").identity
    plan = SplitPlan(cell_m=1.0, counts=(0, 1, 1), seed=0)
    for name in (*PATHS[1:], "rx_pos"):
        short = {name: three_users()[name][:2]}
        folder = write(tmp_path / f"short {name}", {**three_users(), **short})
        with pytest.raises(DataError, match=f"{name}"):
            deepmimo_site(f"deepmimo:{folder}").users(plan, cache_dir=tmp_path, **QUIET)
    lost = {"delay": [[np.nan, np.nan], *three_users()["delay"][1:]]}
    folder = write(tmp_path / "lost", {**three_users(), **lost})
    with pytest.raises(DataError, match=r"delay .* 1 paths"):
        deepmimo_site(f"deepmimo:{folder}").users(plan, cache_dir=tmp_path, **QUIET)
    for scenario in (f"deepmimo:{tmp_path}/none", f"deepmimo:{tmp_path.parent}"):
        with pytest.raises(DataError, match="no power_t"):
            _ = deepmimo_site(scenario).identity


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("deepmimo:", "FOLDER"),
        ("deepmimo:a?colour=red", "'colour'"),
        ("deepmimo:a?rows=3", "num_antennas=8"),
        ("deepmimo:a?rows=1.5", "a whole number"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(name, part):
    with pytest.raises(ConfigError, match=part):
        data_of("", scenario=name)


def test_a_folder_is_taken_by_path_and_its_users_are_counted(tmp_path):
    folder = write(tmp_path / "campus", many_users())
    study = study_on("user-positioning", [], folder)
    assert study.parameters["scenario"] == f"deepmimo:{folder}"
    counts = [study.parameters[f"num_{name}"] for name in ("train", "val", "test")]
    assert sum(counts) <= 600 / 1.25
    params = {**study.parameters, "method": "vanilla", "num_subcarriers": 8}
    task = UserPositioning()
    data = task.load_scenario(params, cache_dir=tmp_path / "cache", **QUIET)
    assert len(data.train["y"]) == counts[0]
    assert np.abs(SPAN_M * data.train["y"]).max() <= 100.0
    own = TASK.own_data(folder, {})
    assert own.parameters == {"scenario": f"deepmimo:{folder}"}
    assert own.defaults["num_train"] == counts[0]
    with pytest.raises(ConfigError, match="DeepMIMO v4"):
        study_on("channel-estimation", [], tmp_path)
    with pytest.raises(DataError, match=r"600 users have a path.*num_train="):
        load_pictures(data_of(folder, counts=(900, 90, 90)), cache_dir=tmp_path, **QUIET)
    write(folder, many_users(20), "t001_tx001_r000")
    with pytest.raises(DataError, match="name one"):
        fitting_counts(folder, (1, 1, 1))


def inspected(path):
    found = CliRunner().invoke(app, ["data", "inspect", str(path), "--json"])
    return found.exit_code, json.loads(found.stdout)


def test_inspect_prints_a_command_for_each_kind_of_folder(tmp_path):
    folder = write(tmp_path / "campus", many_users())
    code, found = inspected(folder)
    assert (code, found["users"], found["silent"]) == (0, 700, 100)
    words = shlex.split(found["command"])
    assert words[:5] == ["kdsweep", "run", "csi-methods", "--data", str(folder)]
    write(folder, many_users(), "t001_tx001_r000")
    _, found = inspected(folder)
    sets = shlex.split(found["command"])[4::2]
    assert sets[0] == f"parameters.scenario=deepmimo:{folder}?link={LINK}"
    study = study_on("csi-methods", sets, None)
    TASK.scenario_fingerprint(TASK.complete(dict(study.parameters)))
    (folder / f"power_{LINK}.mat").write_bytes(b"none")
    assert inspected(folder)[0] == 1


@settings(max_examples=times(20))
@given(st.integers(1, 60), st.floats(1.0, 50.0), st.integers(0, 99))
def test_users_of_a_block_stay_together(count, block_m, seed):
    position = np.random.default_rng(seed).uniform(-100, 100, size=(count, 2))
    order = order_by_blocks(position, block_m, seed=seed)
    assert sorted(order.tolist()) == list(range(count))
    block = np.floor(position[order] / block_m)
    changes = 1 + int((block[1:] != block[:-1]).any(axis=1).sum())
    assert changes == len(np.unique(block, axis=0))
