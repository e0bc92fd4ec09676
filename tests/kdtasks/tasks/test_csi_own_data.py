"""Which files of channels a user has, told before they are read."""

import numpy as np
import pytest
from csi_examples import TASK
from matlab_files import write_v5, write_v73

from kdtasks.errors import ConfigError, DataError
from kdtasks.scenarios.cost2100 import split_files
from kdtasks.scenarios.splits import SPLITS


def published(folder, *environments):
    rng = np.random.default_rng(0)
    for environment in environments:
        for path in split_files(folder, environment).values():
            write_v5(path, HT=rng.random((4, 2048)))


@pytest.mark.parametrize("environment", ["indoor", "outdoor"])
def test_published_files_are_known_by_their_names_and_can_be_loaded(tmp_path, environment):
    published(tmp_path, environment)
    own = TASK.own_data(tmp_path)
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
    own = TASK.own_data(path)
    counts = {"num_train": 4, "num_val": 3, "num_test": 2, "batch_size": 2, "compression": 4}
    params = TASK.complete({**counts, **own.parameters})
    data = TASK.load_scenario(params, cache_dir=tmp_path, progress=lambda *_: None)
    assert data.train["pictures"].shape == (4, 2, 8, 4)


def test_sizes_are_left_to_the_study_where_files_do_not_tell_them(tmp_path):
    path = tmp_path / "channels.mat"
    write_v5(path, H=np.ones((1, 8, 4, 9)))
    assert TASK.own_data(path).parameters == {"scenario": "quadriga", "data_path": str(path)}


def test_what_cannot_be_told_is_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"neither channels .* nor a folder"):
        TASK.own_data(tmp_path)
    published(tmp_path, "indoor", "outdoor")
    with pytest.raises(ConfigError, match=r"--set parameters\.scenario=cost2100-indoor"):
        TASK.own_data(tmp_path)
    (tmp_path / "notes.mat").write_text("no matrices")
    with pytest.raises(DataError, match=r"notes\.mat"):
        TASK.own_data(tmp_path / "notes.mat")
