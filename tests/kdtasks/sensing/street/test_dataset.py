import json
from dataclasses import replace

import numpy as np
import pytest
from street_examples import without_sionna

from kdtasks.contract.errors import ConfigError
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import CONDITIONS, NIGHT
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.street.dataset import (
    FIRST,
    LIDAR_TWIN,
    SENSORS,
    StreetData,
    TwinConfig,
    build_passages,
    load_street,
)
from kdtasks.sensing.street.ray_traced import TracingConfig
from kdtasks.sensing.street.traffic import StreetConfig, build_passage

FAST = StreetConfig(speed_m_s=(14.0, 15.0), lanes_m=(9.5, 13.0), directions=(1, -1))
DATA = StreetData(twin=TwinConfig(street=FAST), passages=(3, 1, 1), sensors=SENSORS, image_size=16)
SPLITS = ("train", "val", "test")


def silent(done, total, unit):
    assert 0 <= done <= total
    assert unit == "passages"


def load(data, folder):
    return load_street(data, cache_dir=folder, progress=silent)


@pytest.fixture(scope="module", params=["street", "rt-street"])
def data(request):
    """Return the street with paths of ours, and with those that a stand-in for Sionna RT traces."""
    with pytest.MonkeyPatch.context() as patch:
        without_sionna(patch)
        yield replace(DATA, tracing=TracingConfig()) if request.param == "rt-street" else DATA


@pytest.fixture(scope="module")
def loaded(data, tmp_path_factory):
    return load(data, tmp_path_factory.mktemp("street"))


def same_bytes(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert one[name].tobytes() == other[name].tobytes(), name


def test_a_split_holds_what_the_models_expect(loaded):
    for name in SPLITS:
        split = getattr(loaded, name)
        frames, windows = len(split["power"]), len(split["window"])
        shapes = {
            "power": ((frames, 64), np.float32),
            "image": ((frames, 16, 16), np.uint8),
            "radar": ((frames, 2, 128, 64), np.float16),
            "lidar": ((frames, 216), np.float32),
            "gps": ((frames, 2), np.float32),
            "condition": ((frames,), np.int8),
            "frame_passage": ((frames,), np.int32),
            "window": ((windows, 8), np.int32),
            "label": ((windows, 4), np.int64),
            "passage": ((windows,), np.int32),
        }
        assert {key: (array.shape, array.dtype) for key, array in split.items()} == {
            key: (shape, np.dtype(kind)) for key, (shape, kind) in shapes.items()
        }
        assert np.isfinite(split["radar"]).all()
        assert set(split["condition"].tolist()) <= set(CONDITIONS.values())


def test_windows_and_labels_point_into_their_passage(loaded):
    for name in SPLITS:
        split = getattr(loaded, name)
        best = best_beams(split["power"])
        for window, label, passage in zip(
            split["window"], split["label"], split["passage"], strict=True
        ):
            ahead = window[-1] + np.arange(4)
            assert (np.diff(window) == 1).all()
            assert set(split["frame_passage"][[*window, *ahead]]) == {passage}
            np.testing.assert_array_equal(label, best[ahead])
        assert IGNORED not in split["label"]


def test_no_passage_is_in_two_splits(loaded):
    numbers = [set(getattr(loaded, name)["frame_passage"].tolist()) for name in SPLITS]
    assert [len(s) for s in numbers] == [3, 1, 1]
    assert len(set.union(*numbers)) == 5


def test_the_same_settings_are_the_same_bytes_in_another_cache_and_from_it(data, loaded, tmp_path):
    for _ in range(2):
        again = load(data, tmp_path)
        for name in SPLITS:
            same_bytes(getattr(loaded, name), getattr(again, name))
        assert again.provenance == loaded.provenance


def test_sensors_do_not_depend_on_each_other_nor_on_their_order(data, loaded, tmp_path):
    turned = load(replace(data, sensors=SENSORS[::-1]), tmp_path)
    assert turned.provenance["fingerprint"] == loaded.provenance["fingerprint"]
    for name in SPLITS:
        split = getattr(loaded, name)
        assert {*split} == {*getattr(turned, name)}
        for sensor in ("radar", "gps"):
            alone = getattr(load(replace(data, sensors=(sensor,)), tmp_path), name)
            same_bytes(alone, {key: split[key] for key in alone})
            assert not (set(SENSORS) - {sensor}) & set(alone)


def test_more_passages_change_none_of_the_others(data, loaded, tmp_path):
    more = load(replace(data, passages=(4, 1, 2), sensors=("image", "lidar")), tmp_path)
    for name in SPLITS:
        small, large = getattr(loaded, name), getattr(more, name)
        count = len(small["power"])
        for key in ("power", "image", "lidar", "condition", "frame_passage"):
            np.testing.assert_array_equal(small[key], large[key][:count])
        windows = len(small["window"])
        np.testing.assert_array_equal(small["label"], large["label"][:windows])


def test_dark_and_weather_reach_the_camera_alone(data, loaded, tmp_path):
    street = replace(FAST, night_share=1.0, rain_share=0.0)
    dark = load(replace(data, twin=TwinConfig(street=street)), tmp_path).train
    assert set(dark["condition"].tolist()) == {NIGHT}
    for key in ("power", "radar", "lidar", "gps", "label"):
        assert dark[key].tobytes() == loaded.train[key].tobytes()
    assert dark["image"].mean() < 0.6 * loaded.train["image"].mean()


def test_what_is_cached_is_not_made_again_and_other_sensors_keep_it(tmp_path):
    made = []

    def count(done, total, unit):
        made.append((done, total, unit))

    radar = replace(DATA, sensors=("radar",))
    load_street(radar, cache_dir=tmp_path, progress=count)
    assert made == [(done, 5, "passages") for done in range(1, 6)]
    made.clear()
    for data in (radar, replace(radar, strict=False, stride=2)):
        load_street(data, cache_dir=tmp_path, progress=count)
    assert made == []
    load_street(replace(DATA, sensors=("radar", "image")), cache_dir=tmp_path, progress=count)
    assert made == [(done, 5, "passages") for done in range(1, 6)]


def test_progress_goes_by_the_time_that_sensors_take(tmp_path):
    made = []
    load_street(
        replace(DATA, sensors=("image", "radar")),
        cache_dir=tmp_path,
        progress=lambda done, total, unit: made.append((done, total, unit)),
    )
    assert {words[1:] for words in made} == {(5, "passages")}
    done = [words[0] for words in made]
    assert len(done) == 2 * 5, "a report per passage and sensor"
    assert done == sorted(done)
    assert done[4] <= 1, "pictures of this size take far less time than radar maps"
    assert done[-1] == 5


def test_another_seed_is_another_street(data, loaded, tmp_path):
    other = load(
        replace(data, twin=TwinConfig(street=replace(FAST, seed=5)), sensors=("lidar",)), tmp_path
    )
    assert other.train["lidar"].tobytes() != loaded.train["lidar"].tobytes()
    assert other.provenance["fingerprint"] != loaded.provenance["fingerprint"]


def as_tuples(value):
    return tuple(as_tuples(item) for item in value) if isinstance(value, list) else value


def test_provenance_is_json_names_the_site_synthetic_and_suffices_to_make_it_again(data, loaded):
    record = json.loads(json.dumps(loaded.provenance))
    assert record["synthetic"] is True
    assert "synthetic site" in record["source"]
    facts = record["split"]["of"]["train"]
    assert facts["frames"] == len(loaded.train["power"])
    assert facts["windows"] == len(loaded.train["window"])
    assert sum(facts["passages_by_condition"].values()) == 3
    settings = record["settings"]["twin"]["street"]
    street = StreetConfig(**{name: as_tuples(value) for name, value in settings.items()})
    assert street == FAST
    again = build_passage(street, FIRST["train"] + 1)
    np.testing.assert_array_equal(again.low_FVD, build_passages(data)["train"][1].low_FVD)


def test_the_laser_scanners_street_is_like_the_measured_one(tmp_path):
    data = StreetData(twin=LIDAR_TWIN, passages=(60, 1, 1), sensors=("lidar",))
    train = load(data, tmp_path).train
    # Recipe, section 1: 0.124 of the ranges are not zero; all beams are labels.
    assert np.mean(train["lidar"] > 0.0) == pytest.approx(0.124, abs=0.03)
    assert len(np.unique(train["label"])) == 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passages": (1, 1)}, "passages"),
        ({"passages": (3, 0, 1)}, "passages"),
        ({"sensors": ("sonar",)}, "sensors must be some of image, radar, lidar, gps"),
        ({"sensors": ("gps", "gps")}, "sensors"),
        ({"image_size": 4}, "image_size=4"),
        ({"stride": 0}, "stride=0"),
    ],
)
def test_impossible_data_are_refused(changes, message):
    with pytest.raises(ConfigError, match=f"StreetData: .*{message}"):
        replace(DATA, **changes)


def test_passages_too_short_for_a_window_are_refused(tmp_path):
    slow = replace(DATA, twin=TwinConfig(street=replace(FAST, frame_rate_hz=5.0)), sensors=())
    with pytest.raises(ConfigError, match="no train passage has the 11 frames"):
        load(slow, tmp_path)
