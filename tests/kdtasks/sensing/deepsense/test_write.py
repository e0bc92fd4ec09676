import csv

import numpy as np
import pytest

from kdtasks.contract.errors import DataError
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.beams.radar_maps import stacked_maps
from kdtasks.sensing.beams.windows import make_windows
from kdtasks.sensing.deepsense.dataset import DeepSenseData, load_deepsense
from kdtasks.sensing.deepsense.inspect import inspect
from kdtasks.sensing.deepsense.write import write_scenario
from kdtasks.sensing.street.dataset import StreetData, build_passages, load_street
from kdtasks.sensing.street.radar import radar_cubes

SENSORS = ("image", "radar", "lidar", "gps")
PASSAGES = {"train": (0, [13, 15, 4]), "val": (10_000_000, [14]), "test": (20_000_000, [16, 13])}


def made_up(name, sensors=SENSORS):
    first, lengths = PASSAGES[name]
    rng = np.random.default_rng(first)
    passage = np.repeat(np.arange(first, first + len(lengths), dtype=np.int32), lengths)
    count = len(passage)
    power = rng.gamma(1.0, size=(count, 64)).astype(np.float32) * 1e-3
    power[rng.random((count, 64)) < 0.05] = np.nan
    power[3] = np.nan
    smooth = rng.integers(40, 200, (count, 4, 4)).repeat(4, axis=1).repeat(4, axis=2)
    split = {
        "image": smooth.astype(np.uint8),
        "radar": rng.gamma(1.0, size=(count, 2, 128, 64)).astype(np.float16),
        "lidar": np.where(rng.random((count, 216)) < 0.3, rng.uniform(1, 40, (count, 216)), 0),
        "gps": rng.normal(0.0, 30.0, (count, 2)),
    }
    split = {kind: split[kind] for kind in sensors}
    for kind in {"lidar", "gps"} & set(sensors):
        split[kind] = split[kind].astype(np.float32)
    return {
        **split,
        "power": power,
        "condition": rng.integers(0, 3, count).astype(np.int8),
        "frame_passage": passage,
        **make_windows(passage, power, strict=True),
    }


def read(folder, sensors=SENSORS, size=16):
    data = DeepSenseData(path=str(folder), sensors=sensors, image_size=size)
    return load_deepsense(data, cache_dir=folder / "cache", progress=lambda *_: None)


def assert_same(read_split, split, *, loss=0):
    assert read_split.keys() == split.keys()
    for kind, values in split.items():
        assert read_split[kind].dtype == values.dtype, kind
        if kind == "image" and loss:
            assert np.abs(read_split[kind].astype(int) - values).mean() < loss
        else:
            np.testing.assert_array_equal(read_split[kind], values, err_msg=kind)


@pytest.mark.parametrize(("picture", "loss"), [("png", 0), ("jpg", 2)])
def test_what_is_written_is_read_back(tmp_path, picture, loss):
    splits = {name: made_up(name) for name in SPLITS}
    table = write_scenario(tmp_path / "site", splits, picture=picture)
    data = read(table.parent)
    for name in SPLITS:
        assert_same(getattr(data, name), splits[name], loss=loss)
    assert data.provenance["synthetic"]
    assert "licence" not in data.provenance
    assert inspect(table).label_column.startswith("unit1_beam counts from 1, right in ")
    assert not inspect(table).defects_by_kind().get("label column disagrees")


@pytest.mark.parametrize("sensors", [("image",), ("lidar", "gps"), ("gps",)])
def test_sensors_that_are_not_there_have_no_column(tmp_path, sensors):
    splits = {name: made_up(name, sensors) for name in SPLITS}
    write_scenario(tmp_path, splits, picture="png")
    data = read(tmp_path, sensors)
    for name in SPLITS:
        assert_same(getattr(data, name), splits[name])


@pytest.mark.slow
def test_the_street_twin_comes_back_from_disk_with_its_cubes(tmp_path):
    street = StreetData(passages=(1, 1, 1), sensors=SENSORS, image_size=32)
    twin = load_street(street, cache_dir=tmp_path / "twin", progress=lambda *_: None)
    splits = {name: getattr(twin, name) for name in SPLITS}
    passages = build_passages(street)
    cubes = {
        name: (cube for p in passages[name] for cube in radar_cubes(p, street.twin.radar))
        for name in SPLITS
    }
    table = write_scenario(tmp_path / "site", splits, cubes=cubes, picture="png")
    with table.open(newline="") as file:
        header, first = list(csv.reader(file))[:2]
    named = dict(zip(header, first, strict=True))
    assert named["unit1_radar"] == "./unit1/radar_data/data_1.mat"
    data = read(table.parent, size=32)
    for name in SPLITS:
        assert_same(getattr(data, name), splits[name])
    assert data.train["radar"].shape[1:] == stacked_maps(np.zeros((4, 256, 128))).shape


def test_nothing_is_overwritten_and_no_sequence_is_in_two_splits(tmp_path):
    splits = {name: made_up(name, ("gps",)) for name in SPLITS}
    write_scenario(tmp_path, splits)
    with pytest.raises(DataError, match="exists already"):
        write_scenario(tmp_path, splits)
    with pytest.raises(DataError, match="sequence 0 is in train and in val"):
        write_scenario(tmp_path / "other", {**splits, "val": splits["train"]})
    with pytest.raises(DataError, match="fewer radar cubes than frames in train"):
        write_scenario(tmp_path / "other", splits, cubes=dict.fromkeys(SPLITS, ()))
