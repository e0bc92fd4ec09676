"""Which files of channels a user has, told before they are read."""

import numpy as np
import pytest
from csi_examples import DISTILLING, METHODS, TASK, drained, silent, tiny
from matlab_files import write_v5, write_v73

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data.cost2100 import split_files
from kdtasks.data.splits import SPLITS
from sweeps.plan.own_data import study_on


def published(folder, *environments):
    rng = np.random.default_rng(0)
    for environment in environments:
        for path in split_files(folder, environment).values():
            write_v5(path, HT=rng.random((4, 2048)))


@pytest.mark.parametrize("environment", ["indoor", "outdoor"])
def test_published_files_are_known_by_their_names_and_can_be_loaded(tmp_path, environment):
    published(tmp_path, environment)
    own = TASK.own_data(tmp_path, {})
    counts = {"num_train": 4, "num_val": 3, "num_test": 2, "batch_size": 2}
    params = TASK.complete({**counts, **own.parameters})
    assert params["scenario"] == f"cost2100-{environment}"
    data = TASK.load_scenario(params, cache_dir=tmp_path, progress=lambda *_: None)
    assert [len(getattr(data, name)["pictures"]) for name in SPLITS] == [4, 3, 2]
    others = TASK.complete({**params, **dict.fromkeys(own.idle, 5)})
    again = TASK.load_scenario(others, cache_dir=tmp_path, progress=lambda *_: None)
    np.testing.assert_array_equal(again.train["pictures"], data.train["pictures"])


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_channels_tell_their_antennas_and_subcarriers(tmp_path, write):
    rng = np.random.default_rng(0)
    path = tmp_path / "channels.mat"
    write(path, H=rng.normal(size=(9, 8, 4)) + 1j, note=np.zeros((2, 2)))
    own = TASK.own_data(path, {})
    counts = {"num_train": 4, "num_val": 3, "num_test": 2, "batch_size": 2, "compression": 4}
    params = TASK.complete({**counts, **own.parameters})
    data = TASK.load_scenario(params, cache_dir=tmp_path, progress=lambda *_: None)
    assert data.train["pictures"].shape == (4, 2, 8, 4)


def noise(shape):
    return np.random.default_rng(0).normal(size=shape) + 1j


@pytest.mark.parametrize(
    ("shape", "axes", "sizes"),
    [
        ((600, 32, 16), "user subcarrier antenna", (16, 32)),
        ((1, 8, 4, 60), "single antenna subcarrier user", (8, 4)),
        ((60, 3, 8, 4), "user receive=2 antenna subcarrier", (8, 4)),
        ((60, 64, 1), "user antenna single", (64, 1)),
        ((60, 56), "user subcarrier", (1, 56)),
        ((60, 2, 4, 6), "user antenna antenna subcarrier", (8, 6)),
    ],
)
def test_sizes_are_those_of_the_axes_that_the_study_names(tmp_path, shape, axes, sizes):
    path = tmp_path / "channels.npy"
    np.save(path, noise(shape))
    own = TASK.own_data(path, {"data_axes": axes})
    params = {**own.parameters, **own.defaults, "data_axes": axes, "compression": 2}
    data = TASK.load_scenario(TASK.complete(params), cache_dir=tmp_path, progress=lambda *_: None)
    assert data.train["pictures"].shape[1:] == (2, *sizes)
    assert (params["num_antennas"], params["num_subcarriers"]) == sizes


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 8, 4, 60), r"\[1, 8, 4, 60\].*data_axes=single antenna subcarrier user"),
        ((60, 30, 3, 1), r"\[60, 30, 3, 1\].*data_axes=user subcarrier antenna single"),
        ((60, 56), r"\[60, 56\].*data_axes=user subcarrier"),
        ((60, 1, 1), "nothing to compress"),
        ((2, 1025, 2), "1025 antennas, the most are 1024"),
        ((2, 2, 5000), "5000 subcarriers, the most are 4096"),
    ],
)
def test_axes_that_do_not_fit_are_refused_with_what_reads_them(tmp_path, shape, message):
    path = tmp_path / "channels.npy"
    np.save(path, noise(shape))
    with pytest.raises(DataError, match=message) as error:
        TASK.own_data(path, {})
    assert "channels.npy" in str(error.value)


def test_splits_fit_the_files_unless_the_study_states_otherwise(tmp_path):
    path = tmp_path / "channels.npy"
    np.save(path, noise((100, 4, 4)))
    message = ["parameters.num_val=9", "space.compression.values=[8]", "search.points=[]"]
    study = study_on("csi-methods", message, path)
    found = {name: study.parameters.get(name) for name in ("num_train", "num_val", "num_test")}
    assert found == {"num_train": 70, "num_val": 9, "num_test": 15}
    assert study.parameters["num_antennas"] == 4
    np.save(path, noise((16_000, 2, 2)))
    assert not TASK.own_data(path, {}).defaults, "enough for the preset"


def test_compressions_that_do_not_divide_name_those_that_do():
    with pytest.raises(ConfigError, match=r"compression=16 must divide the 180 .* 15 or 18 does"):
        TASK.complete({"num_antennas": 3, "num_subcarriers": 30, "compression": 16})
    for near in (15, 18):
        TASK.complete({"num_antennas": 3, "num_subcarriers": 30, "compression": near})
    own = {"scenario": "quadriga", "data_path": "my/file.npy", "compression": 16}
    with pytest.raises(ConfigError, match=r"15 or 18 does; see kdsweep data inspect my/file\.npy"):
        TASK.complete({"num_antennas": 3, "num_subcarriers": 30, **own})
    with pytest.raises(ConfigError, match="nothing to compress"):
        TASK.complete({"num_antennas": 1, "num_subcarriers": 1, "compression": 2})


def test_what_cannot_be_named_is_wanted(tmp_path):
    with pytest.raises(DataError, match=r"neither channels .* nor a folder"):
        TASK.own_data(tmp_path, {})
    published(tmp_path, "indoor", "outdoor")
    with pytest.raises(ConfigError, match=r"--set parameters\.scenario=cost2100-indoor"):
        TASK.own_data(tmp_path, {})
    (tmp_path / "notes.mat").write_text("no matrices")
    with pytest.raises(DataError, match=r"notes\.mat"):
        TASK.own_data(tmp_path / "notes.mat", {})


@pytest.mark.slow
@pytest.mark.parametrize(("antennas", "subcarriers"), [(1, 56), (64, 1)])
def test_thin_pictures_train_with_every_method(tmp_path, antennas, subcarriers):
    sizes = {"compression": 4, "num_train": 80, "num_val": 20, "num_test": 20, "epochs": 1}
    np.save(tmp_path / "a.npy", noise((120, antennas, subcarriers)))
    params = tiny(**{**sizes, **TASK.own_data(tmp_path / "a.npy", {}).parameters})
    data = TASK.load_scenario(params, cache_dir=tmp_path, progress=silent)
    for method in METHODS:
        params["method"] = method
        teacher = None
        if method in DISTILLING:
            teacher = drained(TASK.train_teacher(params, data.train, data.val))[1]
        outcome = drained(TASK.train_student(params, data.train, data.val, teacher))[1]
        assert np.isfinite(outcome.metrics["val_nmse_db"])
        assert np.isfinite(TASK.evaluate(params, outcome.weights, data.test)["nmse_db"])
